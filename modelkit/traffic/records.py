"""Read the lines that the function writes: requests, comparisons of a shadow test, and metrics (EMF).

`loupe.telemetry` and `loupe.shadow` write them. A log may hold anything, so every field is checked.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from modelkit.traffic.metric_lines import Metrics, read_metrics
from modelkit.traffic.values import (
    MAX_NAMES,
    BadLineError,
    count_of,
    counts_of,
    cut,
    number_of,
    numbers_of,
    text_of,
    time_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUTES = ("classify", "batch")


class ModelId(NamedTuple):
    """A model as the function names it."""

    name: str
    version: str
    variant: str

    @property
    def text(self) -> str:
        """Name, version and variant for people."""
        return f"{self.name} {self.version} ({self.variant})"


class Request(NamedTuple):
    """One classification, or a batch of them.

    Attributes
    ----------
    time
        Seconds since 1970; None if the line has none.
    arm_by
        What decided on the arm: the kind of sticky key, or ``override``; '' without an experiment.
    labels
        Labels of a multilabel model.
    items
        Images of a batch; 0 for a single image.
    codes, item_labels
        Problems by code, and labels, of all images.
    stages
        Milliseconds by stage.
    """

    id: str
    time: float | None
    model: ModelId
    experiment: str
    arm: str
    arm_by: str
    milliseconds: float
    stages: Mapping[str, float]
    label: str | None
    labels: tuple[str, ...] | None
    probability: float | None
    items: int
    codes: Mapping[str, int]
    item_labels: Mapping[str, int]
    cold_start: bool
    cache: str


class Shadow(NamedTuple):
    """One comparison of a shadow test.

    Attributes
    ----------
    agrees, difference
        None where it failed, for the reason ``code``.
    champion_ms, challenger_ms
        What the models' runs took; None where the line has none.
    """

    time: float | None
    champion: str
    challenger: str
    agrees: bool | None
    difference: float | None
    code: str
    champion_ms: float | None = None
    challenger_ms: float | None = None


def parse(text: str) -> list[Request | Shadow | Metrics]:
    """Read the text of a log event.

    Returns
    -------
    list
        What the line says; empty if it is none of the function's request, comparison and metric lines.

    Raises
    ------
    BadLineError
    """
    start = text.find("{")
    if start < 0:
        return []
    try:
        # What follows is a column of `aws logs --output text`.
        value, _ = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        if start == len(text) - len(text.lstrip()) or '"request_id"' in text:
            raise BadLineError("not JSON") from None
        return []
    if isinstance(inner := value.get("message"), str) and inner.lstrip().startswith("{"):
        # One event of CloudWatch Logs per line.
        return parse(inner)
    return read(value)


def read(value: Mapping[str, Any]) -> list[Request | Shadow | Metrics]:
    """Read a line's object; returns and raises as `parse`."""
    if "_aws" in value:
        return [*read_metrics(value)]
    message = value.get("message")
    if value.get("service") == "loupe-shadow" and message in ("comparison", "comparison failed"):
        return [_shadow(value)]
    # Rows of a Logs Insights query have the fields that the query names.
    if message == "request" and value.get("route") in ROUTES:
        return [_request(value)]
    if message is None and "request_id" in value and "model" in value and value.get("route", ROUTES[0]) in ROUTES:
        return [_request(value)]
    return []


def _request(value: Mapping[str, Any]) -> Request:
    items = count_of(value, "items")
    codes = counts_of(value, "item_codes") if items else {}
    if "code" in value:
        # The request's own problem is one of all its images, or stands for the one that it did not get to.
        codes = {**codes, text_of(value, "code"): max(1, items)}
    labels = value.get("labels")
    if labels is not None and not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
        raise BadLineError("labels is not a list of texts")
    probability = number_of(value, "probability", 0.0, 1.0) if "probability" in value else None
    version, variant = text_of(value, "model_version", ""), text_of(value, "model_variant", "")
    model = ModelId(text_of(value, "model"), version, variant)
    return Request(
        id=text_of(value, "request_id"),
        time=time_of(value.get("timestamp")),
        model=model,
        experiment=text_of(value, "experiment", ""),
        arm=text_of(value, "arm", ""),
        arm_by=text_of(value, "arm_by", ""),
        milliseconds=number_of(value, "duration_ms", 0.0, math.inf),
        stages=numbers_of(value, "stages_ms"),
        label=text_of(value, "label") if "label" in value else None,
        labels=None if labels is None else tuple(cut(label) for label in labels[:MAX_NAMES]),
        probability=probability,
        items=items,
        codes=codes,
        item_labels=counts_of(value, "item_labels") if items else {},
        cold_start=value.get("cold_start") in (True, 1),
        cache=text_of(value, "cache", ""),
    )


def _shadow(value: Mapping[str, Any]) -> Shadow:
    failed = value["message"] == "comparison failed"
    agrees = value.get("agreement")
    if not failed and agrees not in (0, 1):
        raise BadLineError("agreement is neither 0 nor 1")
    champion_ms = value.get("champion_model_ms")
    return Shadow(
        time=time_of(value.get("timestamp")),
        champion=text_of(value, "champion"),
        challenger=text_of(value, "challenger"),
        agrees=None if failed else bool(agrees),
        difference=None if failed else number_of(value, "difference", 0.0, 1.0),
        code=text_of(value, "code") if failed else "",
        champion_ms=None if champion_ms is None else number_of(value, "champion_model_ms", 0.0, math.inf),
        challenger_ms=numbers_of(value, "stages_ms").get("model"),
    )


def _reject(_constant: str) -> float:
    raise ValueError("JSON has no such number")


_DECODER = json.JSONDecoder(parse_constant=_reject)
