"""Values of a graph's lines: metrics, searches and metric math, as the local cloud has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from localcloud.alarms import compute
from tools.dashboard.definition import Graph, Line

_SEARCH = re.compile(r"SEARCH\('\{([^}]*)\} (.*)', '(\w+)', \d+\)")
_TERM = re.compile(r'(\w+)="([^"]*)"')
_DIMENSION = re.compile(r"\$\{PROP\('Dim\.(\w+)'\)\}")

# Values by second since 1970.
Values = Mapping[int, float]


@dataclass(frozen=True)
class Series:
    """One visible line of a graph, with its label and values."""

    label: str
    right: bool
    values: Values


class Reader:
    """Reads metrics of one emulated account over one span of time."""

    def __init__(self, cloudwatch: Any, start: datetime, end: datetime) -> None:
        self._cloudwatch, self.start, self.end = cloudwatch, start, end

    def series(self, graph: Graph) -> list[Series]:
        """Return the visible lines of a graph; those without data have no values."""
        metrics = {line.id: self._values(line, graph.period) for line in graph.lines if not line.expression}
        series: list[Series] = []
        for line in graph.lines:
            if not line.visible:
                continue
            if match := _SEARCH.fullmatch(line.expression):
                series += self._search(line, match, graph.period)
            elif line.expression:
                series.append(Series(line.label, line.right, _compute(line.expression, metrics)))
            else:
                series.append(Series(line.label, line.right, metrics[line.id]))
        return series

    def _values(self, line: Line, period: int) -> Values:
        metric = {
            "Namespace": line.namespace,
            "MetricName": line.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in line.dimensions],
        }
        response = self._cloudwatch.get_metric_data(
            MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": metric, "Period": period, "Stat": line.statistic}}],
            StartTime=self.start,
            EndTime=self.end,
            ScanBy="TimestampAscending",
        )
        (result,) = response["MetricDataResults"]
        return {
            int(moment.timestamp()): float(value)
            for moment, value in zip(result["Timestamps"], result["Values"], strict=True)
        }

    def _search(self, line: Line, match: re.Match[str], period: int) -> list[Series]:
        """Find the metrics with exactly the dimensions of the schema, and the values that the search asks for."""
        namespace, *dimensions = match[1].split(",")
        terms = dict(_TERM.findall(match[2]))
        name = terms.pop("MetricName")
        series = []
        pages = self._cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace, MetricName=name)
        for metric in (metric for page in pages for metric in page["Metrics"]):
            values = {item["Name"]: item["Value"] for item in metric["Dimensions"]}
            if set(values) != set(dimensions) or terms.items() - values.items():
                continue
            label = _DIMENSION.sub(partial(_value_of, values), line.label)
            one = replace(
                line,
                namespace=namespace,
                name=name,
                dimensions=tuple(values.items()),
                statistic=match[3],
                expression="",
            )
            series.append(Series(label, line.right, self._values(one, period)))
        return sorted(series, key=lambda item: item.label)


def _value_of(values: Mapping[str, str], dimension: re.Match[str]) -> str:
    return values[dimension[1]]


def _compute(expression: str, metrics: Mapping[str, Values]) -> Values:
    """Evaluate metric math at every time at which a metric of the expression has a value."""
    used = {name: values for name, values in metrics.items() if re.search(rf"\b{name}\b", expression)}
    computed: dict[int, float] = {}
    for moment in sorted({moment for values in used.values() for moment in values}):
        value = compute(expression, {name: values.get(moment) for name, values in used.items()})
        if value is not None:
            computed[moment] = value
    return computed
