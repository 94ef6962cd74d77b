"""Fakes of the shadow function and its bucket: they accept, or fail as Lambda, S3 and the network fail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from loupe.shadow.sender import NotSent

if TYPE_CHECKING:
    from loupe.sources.connection import Deadline


class FakeDestination:
    """``fail`` is the reason (`loupe.shadow.sender.NotSent`) or the exception of the next calls."""

    def __init__(self, fail: str | Exception = "") -> None:
        self.fail, self.calls = fail, 0
        self.events: list[Any] = []
        self.objects: dict[str, bytes] = {}

    def store(self, key: str, data: bytes, deadline: Deadline) -> None:
        self._call(deadline)
        self.objects[key] = data

    def invoke(self, payload: bytes, deadline: Deadline) -> None:
        self._call(deadline)
        self.events.append(json.loads(payload))

    def _call(self, deadline: Deadline) -> None:
        self.calls += 1
        assert deadline.left() > 0
        if isinstance(self.fail, Exception):
            raise self.fail
        if self.fail:
            raise NotSent(self.fail)


def emf(output: str) -> dict[str, list[float]]:
    """Values by metric in lines of embedded metric format."""
    values: dict[str, list[float]] = {}
    for line in output.splitlines():
        record = json.loads(line)
        for directive in record.get("_aws", {}).get("CloudWatchMetrics", ()):
            for metric in directive["Metrics"]:
                values.setdefault(metric["Name"], []).extend(record[metric["Name"]])
    return values


def lines(output: str) -> list[dict[str, Any]]:
    """Log lines that are not metrics."""
    records = [json.loads(line) for line in output.splitlines()]
    return [record for record in records if "_aws" not in record]
