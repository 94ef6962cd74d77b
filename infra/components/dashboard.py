"""The dashboard: graphs of all components, under the questions that an operator has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

# The grid of a dashboard has 24 columns (CloudWatch user guide, 'Dashboard body structure and syntax').
COLUMNS = 24
GRAPHS_IN_A_ROW = 4
# An alarm status widget takes this many (the same page).
MAX_ALARMS = 100


class DashboardSection(StrEnum):
    """Sections of the dashboard, in this order."""

    up = "Is it up?"
    fast = "Is it fast?"
    right = "Is it right?"
    cost = "What does it cost?"
    release = "What is being released?"
    jobs = "Are bulk jobs done?"


class Dashboard:
    """Collects graphs by section until `build`; what is added later comes at the end of its section.

    Parameters
    ----------
    name
        Of the dashboard, and of everything that it shows.
    runbook
        Address or path of the runbook.
    """

    def __init__(self, scope: Construct, *, name: str, environment: str, runbook: str) -> None:
        self._dashboard = cloudwatch.Dashboard(scope, "Dashboard", dashboard_name=name)
        self._header = _header(name, environment, runbook)
        self._graphs: dict[DashboardSection, list[cloudwatch.IWidget]] = defaultdict(list)
        self._sections: dict[DashboardSection, cloudwatch.Column] = {}
        self._built = False

    def add(self, section: DashboardSection, *graphs: cloudwatch.IWidget) -> None:
        if not self._built:
            self._graphs[section] += graphs
        elif section in self._sections:
            for row in _rows(graphs):
                self._sections[section].add_widget(row)
        else:
            self._add_section(section, graphs)

    def add_row(self, *graphs: cloudwatch.IWidget) -> None:
        """Add a row below all sections."""
        self._dashboard.add_widgets(*graphs)

    def build(self, alarms: Sequence[cloudwatch.IAlarm]) -> None:
        """Write the sections; the first begins with the state of the alarms."""
        self._built = True
        self._dashboard.add_widgets(self._header)
        for section in DashboardSection:
            first = [_status(alarms)] if section is DashboardSection.up and alarms else []
            if first or section in self._graphs:
                self._add_section(section, self._graphs[section], first)

    def _add_section(
        self, section: DashboardSection, graphs: Sequence[cloudwatch.IWidget], first: Sequence[cloudwatch.IWidget] = ()
    ) -> None:
        heading = cloudwatch.TextWidget(
            markdown=f"## {section}",
            width=COLUMNS,
            height=1,
            background=cloudwatch.TextWidgetBackground.TRANSPARENT,
        )
        self._sections[section] = cloudwatch.Column(heading, *first, *_rows(graphs))
        self._dashboard.add_widgets(cast("cloudwatch.IWidget", self._sections[section]))


def graph(
    title: str,
    metrics: Sequence[cloudwatch.IMetric],
    *,
    right: Sequence[cloudwatch.IMetric] | None = None,
    stacked: bool | None = None,
    limit: tuple[float, str] | None = None,
) -> cloudwatch.GraphWidget:
    """Return a graph with metrics on the left and, if given, the right axis.

    Parameters
    ----------
    limit
        A horizontal line and its label.
    """
    return cloudwatch.GraphWidget(
        title=title,
        left=list(metrics),
        right=None if right is None else list(right),
        stacked=stacked,
        left_y_axis=cloudwatch.YAxisProps(min=0),
        left_annotations=None if limit is None else [cloudwatch.HorizontalAnnotation(value=limit[0], label=limit[1])],
    )


def search(
    namespace: str, name: str, dimensions: Sequence[str], values: dict[str, str], period: cdk.Duration, label: str
) -> cloudwatch.MathExpression:
    """Return the sums of a metric for all values of its dimensions: those that are not known at synth.

    Parameters
    ----------
    dimensions
        Names of all dimensions of the metric, as it is published.
    values
        Those of them that are known.
    label
        Text in which ``${PROP('Dim.Name')}`` is the value of a dimension.
    """
    terms = " ".join(f'{key}="{value}"' for key, value in {"MetricName": name, **values}.items())
    schema = ",".join((namespace, *dimensions))
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{{{schema}}} {terms}', 'Sum', {int(period.to_seconds())})",
        using_metrics={},
        label=label,
        period=period,
    )


def _rows(graphs: Sequence[cloudwatch.IWidget]) -> list[cloudwatch.IWidget]:
    starts = range(0, len(graphs), GRAPHS_IN_A_ROW)
    # The stubs of Row and Column lack properties of IWidget that both have.
    return [cast("cloudwatch.IWidget", cloudwatch.Row(*graphs[start : start + GRAPHS_IN_A_ROW])) for start in starts]


def _status(alarms: Sequence[cloudwatch.IAlarm]) -> cloudwatch.AlarmStatusWidget:
    shown = list(alarms)[:MAX_ALARMS]
    return cloudwatch.AlarmStatusWidget(
        title="Alarms",
        alarms=shown,
        width=COLUMNS,
        # Six tiles fit side by side.
        height=1 + -(-len(shown) // 6),
        sort_by=cloudwatch.AlarmStatusWidgetSortBy.STATE_UPDATED_TIMESTAMP,
    )


def _header(name: str, environment: str, runbook: str) -> cloudwatch.TextWidget:
    linked = f"[runbook]({runbook})" if runbook.startswith("https://") else f"runbook: `{runbook}`"
    text = (
        f"# {name}\n"
        f"`make status ENV={environment}` | `make logs ENV={environment} LEVEL=ERROR` | "
        f"`make rollback ENV={environment}` | {linked}"
    )
    return cloudwatch.TextWidget(markdown=text, width=COLUMNS, height=2)
