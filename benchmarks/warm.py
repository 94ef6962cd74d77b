"""Warm requests at the handler, in one process on one core: ours, the course's handler, and the floor, in turn."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import subjects
from benchmarks.timing import Row, alternate, median, ratio
from benchmarks.workload import MEGAPIXELS, photo

TARGETS = {1: (1.9, 1.25), 12: (3.2, 2.8)}
FLOOR_TARGET = 1.10
OVERHEAD_TARGET_MS = 0.4


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Pin this process to its last core while subjects are made and measured."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what handlers log to nowhere, at the cost of a real write."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def run(shipped: Path, course: Path, rounds: int) -> list[Row]:
    """Measure both picture sizes with both models."""
    rows: list[Row] = []
    with one_core(), quiet():
        ours, peer_course = subjects.ours(shipped), subjects.course(course)
        ours_course, peer_shipped = subjects.ours(course), subjects.course(shipped)
        floor = subjects.floor(shipped)
        for megapixels, size in MEGAPIXELS.items():
            data = photo(*size)
            event = subjects.http_event(data)
            payload = {"image": base64.b64encode(data).decode()}
            calls: dict[str, Callable[[], object]] = {
                "ours": lambda event=event: ours(event, subjects.CONTEXT),
                "peer, course model": lambda payload=payload: peer_course(payload, subjects.CONTEXT),
                "peer, same model": lambda payload=payload: peer_shipped(payload, subjects.CONTEXT),
                "ours, course model": lambda event=event: ours_course(event, subjects.CONTEXT),
                "floor": lambda data=data: floor(data),
                # Getting the bytes out of the event is the gateway's encoding, not ours; shown apart.
                "base64": lambda event=event: base64.b64decode(event["body"]),
            }
            if ours(event, subjects.CONTEXT)["statusCode"] != 200:
                raise RuntimeError("the handler did not classify the benchmark's picture")
            rows += _rows(megapixels, len(data), alternate(calls, rounds if megapixels == 1 else rounds // 2))
    return rows


def _rows(megapixels: int, size: int, samples: dict[str, list[float]]) -> list[Row]:
    ms = {name: median(values) for name, values in samples.items()}
    different, same = TARGETS[megapixels]
    group = f"Warm request, {megapixels} MP JPEG ({size / 1e6:.1f} MB)"

    def row(what: str, above: str, below: str, target: float, sense: str) -> Row:
        value, interval = ratio(samples[above], samples[below])
        return Row(group, what, value, target, sense, f"{ms[above]:.2f} ms / {ms[below]:.2f} ms", interval)  # type: ignore[arg-type]

    overhead = ms["ours"] - ms["floor"]
    return [
        row("shipped model against peer (a) with the course's model", "peer, course model", "ours", different, "least"),
        row("same model (shipped) in both", "peer, same model", "ours", same, "least"),
        row("same model (the course's) in both", "peer, course model", "ours, course model", same, "least"),
        row("handler against the floor", "ours", "floor", FLOOR_TARGET, "most"),
        Row(
            group,
            "overhead that is ours",
            overhead,
            OVERHEAD_TARGET_MS,
            "most",
            f"{ms['ours']:.2f} ms - {ms['floor']:.2f} ms; of it {ms['base64']:.2f} ms to decode the event's base64",
            unit="ms",
        ),
    ]
