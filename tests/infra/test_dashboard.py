"""The dashboard's definition: sections by question, places on the grid, expressions that CloudWatch evaluates."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.components.dashboard import DashboardSection
from localcloud.alarms import compute
from tests.infra.synthesis import Synthesized, synthesize
from tests.infra.variants import OPTIONS
from tools.dashboard.definition import Alarms, Graph, Text, Widget, parse

# CloudWatch API reference, 'Dashboard body structure and syntax': widgets of a dashboard, metrics of a graph.
MAX_WIDGETS, MAX_METRICS = 500, 500
SEARCH = re.compile(r"SEARCH\('\{[\w/]+(,\w+)+\} MetricName=\"\w+\"( \w+=\"[^\"]+\")*', 'Sum', \d+\)")


def body(environment: Synthesized) -> str:
    value = environment.only("AWS::CloudWatch::Dashboard")["DashboardBody"]

    def resolved(part: Any) -> str:
        if isinstance(part, str):
            return part
        if "Fn::GetAtt" in part:
            return "arn:aws:cloudwatch:us-east-1:111122223333:alarm:" + part["Fn::GetAtt"][0]
        return str(part["Ref"])

    return "".join(resolved(part) for part in value["Fn::Join"][1])


def titles(widgets: list[Widget]) -> dict[str, list[str]]:
    """Titles of graphs by the heading above them."""
    sections: dict[str, list[str]] = {}
    for widget in widgets:
        if isinstance(widget, Text):
            sections[widget.markdown.removeprefix("## ")] = []
        else:
            sections[list(sections)[-1]].append(widget.title)
    return sections


def test_every_environment_has_the_sections_in_order(synthesized: Synthesized) -> None:
    sections = titles(parse(body(synthesized)))
    headings = [question for question in DashboardSection if question in sections]
    assert list(sections)[1:] == headings == list(DashboardSection)
    assert all(sections[heading] for heading in headings)
    assert sections[DashboardSection.up][:2] == ["Alarms", "Requests at the API"]
    assert sections[DashboardSection.right] == ["Confidence", "Images by label", "Problems by code"]
    assert "Estimate, US$ an hour" in sections[DashboardSection.cost]
    assert "Requests by version, during a shift" in sections[DashboardSection.release]


def test_widgets_fit_the_grid_without_overlap(synthesized: Synthesized) -> None:
    widgets = parse(body(synthesized))
    assert len(widgets) <= MAX_WIDGETS
    cells: set[tuple[int, int]] = set()
    for widget in widgets:
        place = widget.place
        assert place.x + place.width <= 24
        own = {(x, y) for x in range(place.x, place.x + place.width) for y in range(place.y, place.y + place.height)}
        assert not own & cells
        cells |= own
        if isinstance(widget, Graph):
            assert len(widget.lines) <= MAX_METRICS


def test_expressions_are_metric_math_or_searches(synthesized: Synthesized) -> None:
    expressions = 0
    for widget in parse(body(synthesized)):
        if not isinstance(widget, Graph):
            continue
        ids = {line.id: 2.0 for line in widget.lines if not line.expression}
        for line in widget.lines:
            if not line.expression:
                continue
            expressions += 1
            if line.expression.startswith("SEARCH"):
                assert SEARCH.fullmatch(line.expression)
            else:
                # Only ids of the same graph, and no exponent in a number.
                assert compute(line.expression, ids) is not None
                assert not re.search(r"\d[eE]-?\d", line.expression)
    assert expressions >= 8


def test_the_estimate_is_that_of_the_price_list(synthesized: Synthesized) -> None:
    (graph,) = [
        widget
        for widget in parse(body(synthesized))
        if isinstance(widget, Graph) and widget.title == "Estimate, US$ for a million images"
    ]
    (line,) = [line for line in graph.lines if line.visible]
    # A million images of 12 ms, each a request: 1769 MiB of x86, list prices of US East.
    million = {"duration": 12e6, "invocations": 1e6, "calls": 1e6, "images": 1e6}
    expected = 12_000 * 1769 / 1024 * 0.0000166667 + 0.20 + 3.50
    assert compute(line.expression, million) == pytest.approx(expected, rel=1e-6)
    assert compute(line.expression, {**million, "calls": None}) == pytest.approx(expected - 3.50, rel=1e-6)


def test_the_alarm_tiles_are_the_alarms_of_the_stack(prod: Synthesized) -> None:
    (tiles,) = [widget for widget in parse(body(prod)) if isinstance(widget, Alarms)]
    assert set(tiles.names) == set(prod.resources("AWS::CloudWatch::Alarm"))


def test_without_alarms_there_are_no_tiles() -> None:
    quiet = synthesize("dev", {"alarms": {"enabled": False}})
    assert not [widget for widget in parse(body(quiet)) if isinstance(widget, Alarms)]


def test_an_address_of_the_runbook_is_a_link(prod: Synthesized) -> None:
    assert "runbook: `docs/runbook.md`" in body(prod)
    linked = synthesize("dev", OPTIONS)
    assert (
        f"[runbook]({OPTIONS['alarms']['runbook']})" in json.loads(body(linked))["widgets"][0]["properties"]["markdown"]
    )


def test_metrics_by_model_version_are_shown_where_they_are_published(prod: Synthesized) -> None:
    by_version = synthesize("dev", OPTIONS)
    assert "Images by model version" in body(by_version)
    assert "Images by model version" not in body(prod)
