"""A dashboard's body as CloudWatch stores it: text, alarms, and graphs with their metrics.

Source: CloudWatch API reference, 'Dashboard body structure and syntax'. What this project's dashboard does not use is
rejected, so that nothing of it is left out of the picture silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

_GRAPH_PROPERTIES = {"view", "title", "region", "stacked", "metrics", "yAxis", "annotations"}
_METRIC_OPTIONS = {"id", "label", "stat", "period", "visible", "yAxis", "expression"}


class GridPosition(NamedTuple):
    """Position and size on a grid of 24 columns."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Line:
    """One entry of a graph's metrics.

    Attributes
    ----------
    expression
        Metric math or a search; empty for a metric.
    """

    id: str
    label: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str
    expression: str
    visible: bool
    right: bool


@dataclass(frozen=True)
class Text:
    """Markdown."""

    place: GridPosition
    markdown: str


@dataclass(frozen=True)
class Alarms:
    """States of alarms, by name."""

    place: GridPosition
    title: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Lines over time; ``limits`` are horizontal lines with their labels."""

    place: GridPosition
    title: str
    stacked: bool
    lines: tuple[Line, ...]
    period: int
    limits: tuple[tuple[float, str], ...]


Widget = Text | Alarms | Graph


def parse(body: str) -> list[Widget]:
    """Return the widgets of a dashboard.

    Raises
    ------
    ValueError
        For a widget or an option that is not drawn.
    """
    return [_widget(item) for item in json.loads(body)["widgets"]]


def _widget(item: Mapping[str, Any]) -> Widget:
    place = GridPosition(*(int(item[name]) for name in ("x", "y", "width", "height")))
    properties: Mapping[str, Any] = item["properties"]
    if item["type"] == "text":
        return Text(place, properties["markdown"])
    if item["type"] == "alarm":
        return Alarms(place, properties["title"], tuple(arn.split(":", 6)[6] for arn in properties["alarms"]))
    if item["type"] != "metric" or properties["view"] != "timeSeries" or set(properties) - _GRAPH_PROPERTIES:
        raise ValueError(f"This widget is not drawn: {item['type']} with {', '.join(properties)}.")
    lines = _lines(properties["metrics"])
    periods = {int(entry[-1].get("period", 60)) for entry in properties["metrics"] if isinstance(entry[-1], dict)}
    if len(periods) != 1:
        raise ValueError(f"{properties['title']} has metrics of several periods, which are not drawn in one graph.")
    limits = (properties.get("annotations") or {}).get("horizontal", ())
    return Graph(
        place,
        properties["title"],
        bool(properties.get("stacked")),
        lines,
        periods.pop(),
        tuple((float(limit["value"]), str(limit.get("label", ""))) for limit in limits),
    )


def _lines(entries: list[list[Any]]) -> tuple[Line, ...]:
    lines = []
    for number, entry in enumerate(entries):
        *names, options = entry if isinstance(entry[-1], dict) else [*entry, {}]
        if set(options) - _METRIC_OPTIONS:
            raise ValueError(f"These options of a metric are not drawn: {sorted(set(options) - _METRIC_OPTIONS)}.")
        pairs = tuple(zip(names[2::2], names[3::2], strict=True))
        lines.append(
            Line(
                id=options.get("id", f"line{number}"),
                label=options.get("label") or (names[1] if names else options.get("expression", "")),
                namespace=names[0] if names else "",
                name=names[1] if names else "",
                dimensions=pairs,
                statistic=options.get("stat", "Average"),
                expression=options.get("expression", ""),
                visible=options.get("visible", True),
                right=options.get("yAxis") == "right",
            )
        )
    return tuple(lines)
