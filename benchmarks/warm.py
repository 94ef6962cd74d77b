"""Warm requests of the handler on one core: Loupe, the course's handler and the floor, alternately."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.timing import PartResult, Row, Samples, difference, median, ratio
from benchmarks.workers import Kind, time_in_turn, workers
from benchmarks.workload import MEGAPIXELS, photo

TARGETS = {1: (1.9, 1.25), 12: (3.2, 2.8)}
FLOOR_TARGET = 1.10
OVERHEAD_TARGET_MS = 0.4


def run(shipped: Path, course: Path, rounds: int) -> PartResult:
    """Measure both image sizes with both models."""
    subjects: dict[str, tuple[Kind, Path]] = {
        "ours": ("ours", shipped),
        "floor": ("floor", shipped),
        "peer, same model": ("course", shipped),
        "ours, course model": ("ours", course),
        "peer, course model": ("course", course),
    }
    rows: list[Row] = []
    with workers(subjects, max(os.sched_getaffinity(0))) as running:
        for megapixels, size in MEGAPIXELS.items():
            data = photo(*size)
            rows += _rows(
                megapixels, len(data), time_in_turn(running, data, rounds if megapixels == 1 else rounds // 2)
            )
    return PartResult(rows)


def _rows(megapixels: int, size: int, samples: Samples) -> list[Row]:
    ms = {name: median(values) for name, values in samples.items()}
    different, same = TARGETS[megapixels]
    group = f"Warm request, {megapixels} MP JPEG ({size / 1e6:.1f} MB)"

    def row(what: str, numerator: str, denominator: str, target: float, sense: str) -> Row:
        value, interval = ratio(samples[numerator], samples[denominator])
        return Row(group, what, value, target, sense, f"{ms[numerator]:.2f} ms / {ms[denominator]:.2f} ms", interval)  # type: ignore[arg-type]

    overhead, interval = difference(samples["ours"], samples["floor"])
    detail = f"{ms['ours']:.2f} ms - {ms['floor']:.2f} ms; including base64 of the event, log line and metrics"
    return [
        row("shipped model against peer (a) with the course's model", "peer, course model", "ours", different, "least"),
        row("same model (shipped) in both", "peer, same model", "ours", same, "least"),
        row("same model (the course's) in both", "peer, course model", "ours, course model", same, "least"),
        row("handler against the floor", "ours", "floor", FLOOR_TARGET, "most"),
        Row(group, "overhead of Loupe's own code", overhead, OVERHEAD_TARGET_MS, "most", detail, interval, unit="ms"),
    ]
