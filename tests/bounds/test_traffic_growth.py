"""Time and memory of reading log files, in every form in which they are exported."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import pytest
from growth import assert_linear, repeated
from test_traffic_sources import LINE, as_csv
from traffic_lines import jsonl, line, read

from modelkit.traffic.collection import Traffic
from modelkit.traffic.sources import events


class Endless(io.RawIOBase):
    """A file of this size that is never in memory."""

    def __init__(self, make: Any, size: int) -> None:
        self._make, self._left, self._number, self._rest = make, size, 0, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while len(self._rest) < len(buffer) and self._left > 0:
            part = self._make(self._number)
            self._number += 1
            self._left -= len(part)
            self._rest += part
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _part_of_document(number: int) -> bytes:
    event = json.dumps({"timestamp": 1, "message": json.dumps(line(number))})
    return (b'{"events": [' if number == 0 else b",") + event.encode()


@pytest.mark.parametrize(
    "make",
    [
        lambda number: jsonl(line(number, label=f"label-{number}")),
        _part_of_document,
        lambda number: (b'"@timestamp","@message"\n' if number == 0 else b"") + as_csv(["1", json.dumps(line(number))]),
    ],
    ids=["lines", "document", "csv"],
)
def test_memory_does_not_grow_with_the_file(make) -> None:
    def peak(size: int) -> int:
        traffic = Traffic(remembered=200)
        tracemalloc.start()
        traffic.add(events(Endless(make, size), "log", traffic.report))  # type: ignore[arg-type]
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert traffic.requests > 500
        return most

    small, large = peak(400_000), peak(1_600_000)
    assert large < small + 300_000


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (repeated(jsonl(LINE)), 1.5),
        (repeated(b"{"), 1.2),
        (repeated(b'{"events": ['), 1.2),
        (repeated(b'{"timestamp": 1, "message": ""},', before=b'{"events": ['), 1.5),
        (repeated(b"[", before=b'{"events": [{"timestamp": '), 1.2),
        (repeated(b"{\n"), 4),
        (repeated(b'"', before=b'"@message","a"\n'), 4),
        (repeated(b'{"message": '), 1.2),
        (repeated(b"x"), 1.2),
        (repeated(b"events"), 1.2),
    ],
)
def test_the_work_grows_with_the_file_at_most_linearly(make, seconds) -> None:
    assert_linear(read, make, seconds_per_mib=seconds)
