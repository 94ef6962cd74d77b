"""A batch of 32 in one request against 32 sequential requests, in the runtime emulator."""

from __future__ import annotations

import base64
import json
import os
import uuid
from dataclasses import replace
from pathlib import Path

from benchmarks.cold import all_subjects
from benchmarks.timing import PartResult, Row, alternate, median, ratio
from benchmarks.workload import photo
from localcloud.environment import ExecutionEnvironment

TARGET = 1.5
SIZE = 32
# MiB of memory for this number of vCPUs.
MEMORY = {1: "1769", 2: "3538"}


def run(folder: Path, shipped: Path, course: Path, rounds: int) -> PartResult:
    """Measure with one core and with two; the photos are small, so that 32 of them fit in a request."""
    subject = all_subjects(folder, shipped, course)["ours"]
    items = [{"image": base64.b64encode(photo(400, 300, seed=seed)).decode()} for seed in range(SIZE)]
    batch, singles = json.dumps({"items": items}).encode(), [json.dumps(item).encode() for item in items]
    allowed = os.sched_getaffinity(0)
    rows = []
    for cores, memory in MEMORY.items():
        if len(allowed) < cores:
            continue
        os.sched_setaffinity(0, set(sorted(allowed)[-cores:]))
        try:
            with_memory = replace(subject, variables=subject.variables | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory})
            environment = with_memory.start(folder / "rie.log")
            try:
                rows.append(_row(environment, cores, memory, batch, singles, rounds))
            finally:
                environment.end()
        finally:
            os.sched_setaffinity(0, allowed)
    return PartResult(rows)


def _row(
    environment: ExecutionEnvironment, cores: int, memory: str, batch: bytes, singles: list[bytes], rounds: int
) -> Row:
    def invoke(payload: bytes) -> bytes:
        outcome = environment.invoke(payload, str(uuid.uuid4()))
        if outcome.function_error or b'"label"' not in outcome.payload or b'"error"' in outcome.payload:
            raise RuntimeError(outcome.payload[:300])
        return outcome.payload

    samples = alternate(
        {"batch": lambda: invoke(batch), "singles": lambda: [invoke(payload) for payload in singles]}, rounds
    )
    value, interval = ratio(samples["singles"], samples["batch"])
    detail = f"{median(samples['singles']):.0f} ms / {median(samples['batch']):.0f} ms"
    what = f"{SIZE} images in one request against {SIZE} requests"
    return Row(
        f"Batch on {cores} core{'s' * (cores > 1)} ({memory} MB)", what, value, TARGET, "least", detail, interval
    )
