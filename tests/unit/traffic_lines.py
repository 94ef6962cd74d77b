"""Lines of the function's log, as `loupe.telemetry` and the shadow function write them."""

from __future__ import annotations

import io
import json
from typing import Any

from modelkit.traffic.collection import Traffic
from modelkit.traffic.labels import Truth
from modelkit.traffic.sources import Event, events
from modelkit.traffic.verdict import Plan


def line(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A request line; a change to None removes a field."""
    fields: dict[str, Any] = {
        "level": "INFO",
        "message": "request",
        "timestamp": f"2026-11-26T02:{number // 60 % 60:02}:{number % 60:02}.123Z",
        "service": "loupe",
        "environment": "prod",
        "model": "hair-type",
        "model_version": "1.1.0",
        "model_variant": "float16",
        "request_id": f"request-{number}",
        "trigger": "rest",
        "route": "classify",
        "cold_start": False,
        "duration_ms": 20.0,
        "stages_ms": {"decode": 5.0, "model": 12.0},
        "label": "curly",
        "probability": 0.9,
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def in_arm(number: int, arm: str, **changes: Any) -> dict[str, Any]:
    return line(number, **{"experiment": "large", "arm": arm, "arm_by": "image", **changes})


def shadow(*, agrees: bool = True, difference: float = 0.01, **changes: Any) -> dict[str, Any]:
    names = {"champion": "hair-type 1.1.0 float16", "challenger": "hair-type-large 1.1.0 float16"}
    about = {"level": "INFO", "message": "comparison", "timestamp": "2026-11-26T02:00:00Z", "service": "loupe-shadow"}
    return {
        **about,
        **names,
        "agreement": int(agrees),
        "difference": difference,
        "stages_ms": {"model": 9.0},
        **changes,
    }


def jsonl(*lines: Any) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in lines).encode()


def read(content: bytes, **options: Any) -> Traffic:
    """Add up the content of a file."""
    traffic = Traffic(**options)
    traffic.add(events(io.BytesIO(content), "log", traffic.report))
    return traffic


def add_up(*lines: Any, **options: Any) -> Traffic:
    """Add up lines that are there already."""
    traffic = Traffic(**options)
    traffic.add(Event(json.dumps(item), f"line {number}") for number, item in enumerate(lines, 1))
    return traffic


PLAN = Plan()


def two_arms(count: int = 400, **challenger: Any) -> list[dict[str, Any]]:
    """The same number of requests of two arms in turn; the second one's lines have these fields."""
    return [
        in_arm(number, "control") if number % 2 == 0 else in_arm(number, "challenger", **challenger)
        for number in range(2 * count)
    ]


def labels(count: int, right: dict[int, float]) -> dict[str, Truth]:
    """Labels of `two_arms`: by the remainder of the number, the share of right answers."""
    return {
        f"request-{number}": Truth("curly" if (number // 2) % 100 < 100 * right[number % 2] else "straight")
        for number in range(2 * count)
    }
