"""`make dashboard-image`: a definition is read whole or rejected, its lines are read, and a picture is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tools.dashboard.definition import Alarms, Graph, Text, parse
from tools.dashboard.drawing import draw
from tools.dashboard.series import Reader

START = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


def _metric(title: str, metrics: list[Any], x: int = 0, **more: Any) -> dict[str, Any]:
    properties = {"view": "timeSeries", "title": title, "region": "us-east-1", "metrics": metrics, "yAxis": {}, **more}
    return {"type": "metric", "x": x, "y": 3, "width": 6, "height": 6, "properties": properties}


SEARCH = "SEARCH('{Loupe,Environment,Label} MetricName=\"Predictions\" Environment=\"x\"', 'Sum', 10)"
WIDGETS = [
    {"type": "text", "x": 0, "y": 0, "width": 24, "height": 1, "properties": {"markdown": "## Is it `up`?"}},
    {
        "type": "alarm", "x": 0, "y": 1, "width": 24, "height": 2,
        "properties": {"title": "Alarms", "alarms": [f"arn:aws:cloudwatch:r:1:alarm:loupe-{n}" for n in ("a", "b")]},
    },
    _metric(
        "Rates",
        [
            ["Loupe", "Requests", "Environment", "x", {"id": "whole", "visible": False, "stat": "Sum", "period": 10}],
            ["Loupe", "Problems", "Environment", "x", {"id": "part", "stat": "Sum", "label": "bad", "period": 10}],
            [{"expression": "100 * part / whole", "label": "%", "yAxis": "right", "period": 10}],
        ],
        annotations={"horizontal": [{"value": 9, "label": "limit", "yAxis": "left"}]},
    ),
    _metric(
        "Labels",
        [
            [
                {
                    "expression": SEARCH,
                    "label": "${PROP('Dim.Label')}", "period": 10,
                }
            ]
        ],
        x=6, stacked=True,
    ),
]  # fmt: skip
VALUES = {
    ("Requests", ("x",)): {0: 10.0, 10: 20.0, 20: 5.0},
    ("Problems", ("x",)): {0: 1.0, 20: 5.0},
    ("Predictions", ("x", "curly")): {0: 4.0},
    ("Predictions", ("x", "straight")): {10: 3.0},
    ("Predictions", ("other", "curly")): {0: 99.0},
}


class CloudWatch:
    """Metrics in memory, as far as the reader asks for them."""

    def get_metric_data(self, **arguments: Any) -> Any:
        (query,) = arguments["MetricDataQueries"]
        metric = query["MetricStat"]["Metric"]
        values = VALUES.get((metric["MetricName"], tuple(item["Value"] for item in metric["Dimensions"])), {})
        moments = [START + timedelta(seconds=second) for second in values]
        return {"MetricDataResults": [{"Id": "m", "Timestamps": moments, "Values": list(values.values())}]}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_metrics"
        return self

    def paginate(self, **arguments: Any) -> Any:
        names = ("Environment", "Label")
        yield {
            "Metrics": [
                {"Dimensions": [{"Name": n, "Value": v} for n, v in zip(names, values, strict=False)]}
                for name, values in VALUES
                if name == arguments["MetricName"]
            ]
        }


def _body(*widgets: Any) -> str:
    return json.dumps({"widgets": widgets or WIDGETS})


def test_widgets_are_read_with_their_places_and_options() -> None:
    text, alarms, rates, labels = parse(_body())
    assert isinstance(text, Text)
    assert isinstance(alarms, Alarms)
    assert alarms.names == ("loupe-a", "loupe-b")
    assert isinstance(rates, Graph)
    assert isinstance(labels, Graph)
    assert [(line.id, line.visible, line.right) for line in rates.lines] == [
        ("whole", False, False), ("part", True, False), ("line2", True, True),
    ]  # fmt: skip
    assert (rates.limits, labels.stacked, labels.place.x) == (((9.0, "limit"),), True, 6)


@pytest.mark.parametrize(
    "widget",
    [
        {**WIDGETS[2], "type": "log"},
        _metric("Pie", [["A", "B", {}]], view="pie"),
        _metric("Unknown option", [["A", "B", {"color": "#fff"}]]),
        _metric("Two periods", [["A", "B", {"period": 10}], ["A", "C", {"period": 60}]]),
        _metric("Unknown property", [["A", "B", {}]], liveData=True),
    ],
)
def test_what_is_not_drawn_is_rejected(widget: Any) -> None:
    with pytest.raises(ValueError, match=r"not drawn"):
        parse(_body(widget))


def test_lines_are_metrics_math_and_searches() -> None:
    _, _, rates, labels = parse(_body())
    assert isinstance(rates, Graph)
    assert isinstance(labels, Graph)
    reader = Reader(CloudWatch(), START, START)
    zero = int(START.timestamp())
    bad, percent = reader.series(rates)
    assert (bad.label, bad.values) == ("bad", {zero: 1.0, zero + 20: 5.0})
    # Where a metric of the expression has no value there is none of the expression.
    assert (percent.right, percent.values) == (True, {zero: 10.0, zero + 20: 100.0})
    assert [(line.label, line.values) for line in reader.series(labels)] == [
        ("curly", {zero: 4.0}), ("straight", {zero + 10: 3.0}),
    ]  # fmt: skip


def test_a_small_image_is_written(tmp_path: Path) -> None:
    output = tmp_path / "images" / "dashboard.png"
    span = START, START + timedelta(seconds=30)
    empty = _metric("Nothing yet", [["Loupe", "None", {"period": 10}]], x=12)
    widgets = parse(_body(*WIDGETS, empty))
    draw(widgets, Reader(CloudWatch(), *span).series, {"loupe-a": "OK", "loupe-b": "ALARM"}, span, output)
    with Image.open(output) as image:
        assert image.format == "PNG"
        colors = image.convert("RGB").getcolors(1 << 20)
    assert colors is not None
    shades = {color for _, color in colors}
    # The tiles of a healthy alarm and of one in alarm; quantized, so nearly these.
    assert any(abs(r - 0x2E) + abs(g - 0x7D) + abs(b - 0x32) < 30 for r, g, b in shades)
    assert any(abs(r - 0xC6) + abs(g - 0x28) + abs(b - 0x28) < 30 for r, g, b in shades)
    assert output.stat().st_size < 100_000


def test_the_image_in_the_docs_is_small() -> None:
    image = Path(__file__).resolve().parents[2] / "docs" / "images" / "dashboard.png"
    assert image.stat().st_size < 200_000
