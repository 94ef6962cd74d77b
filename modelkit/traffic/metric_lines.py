"""Lines of metrics in the embedded metric format, as `loupe.telemetry` writes them.

Source: Amazon CloudWatch user guide, 'Specification: Embedded metric format'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.telemetry import NAMESPACE

from modelkit.traffic.values import MAX_NAMES, BadLineError, is_number, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class Metrics(NamedTuple):
    """Values of one line in the embedded metric format, with the dimensions of one of its directives."""

    time: float | None
    dimensions: Mapping[str, str]
    values: Mapping[str, tuple[float, ...]]


def read_metrics(value: Mapping[str, Any]) -> list[Metrics]:
    """Return the values of each directive of the function's namespace.

    Raises
    ------
    modelkit.traffic.values.BadLineError
    """
    about = value["_aws"]
    directives = about.get("CloudWatchMetrics") if isinstance(about, dict) else None
    if not isinstance(directives, list):
        raise BadLineError("_aws has no CloudWatchMetrics")
    time = about.get("Timestamp")
    seconds = time / 1000 if isinstance(time, int | float) and 0 <= time < 1e15 else None
    records = []
    for directive in directives[:MAX_NAMES]:
        if not isinstance(directive, dict) or directive.get("Namespace") != NAMESPACE:
            continue
        try:
            (names,) = directive["Dimensions"]
            metrics = [metric["Name"] for metric in directive["Metrics"][:MAX_NAMES]]
            dimensions = {name: text_of(value, name) for name in names}
        except (KeyError, TypeError, ValueError):
            raise BadLineError("a directive of metrics is damaged") from None
        records.append(Metrics(seconds, dimensions, {name: _values(value, name) for name in metrics if name in value}))
    return records


def _values(value: Mapping[str, Any], name: str) -> tuple[float, ...]:
    numbers = value[name] if isinstance(value[name], list) else [value[name]]
    if not all(is_number(number) for number in numbers):
        raise BadLineError("a metric is not a number")
    return tuple(map(float, numbers))
