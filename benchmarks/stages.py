"""Where a warm request's time goes, as the function itself tells it, through the runtime emulator on one core."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

from benchmarks import plots
from benchmarks.cold import all_subjects
from benchmarks.subjects import http_event
from benchmarks.timing import Found, Section, median
from benchmarks.workload import MEGAPIXELS, photo

# The handler's own stages (Server-Timing), then what is around them.
STAGES = {
    "source": "base64 and checks of the event",
    "decode": "decode the JPEG, scaled",
    "tensor": "resize and normalise",
    "model": "run the model",
    "rest": "read the event, answer, log line, metrics",
    "runtime": "Lambda's runtime: fetch and parse the event, send the answer",
}


def run(folder: Path, shipped: Path, course: Path, rounds: int) -> Found:
    """Ask for both picture sizes and take the medians of each stage."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    environment = all_subjects(folder, shipped, course)["ours"].start(folder / "rie.log")
    try:
        found = {}
        for megapixels, size in MEGAPIXELS.items():
            event = json.dumps(http_event(photo(*size))).encode()
            taken = []
            for index in range(rounds + 3):
                outcome = environment.invoke(event, str(uuid.uuid4()))
                answer = json.loads(outcome.payload)
                if outcome.function_error or answer["statusCode"] != 200:
                    raise RuntimeError(outcome.payload[:300])
                if index >= 3:
                    taken.append(_stages(answer["headers"]["Server-Timing"], outcome.duration_ms))
            found[f"{megapixels} MP"] = {name: median([each[name] for each in taken]) for name in STAGES}
    finally:
        environment.end()
        os.sched_setaffinity(0, allowed)
    lines = [f"| stage | {' | '.join(f'{size}, ms' for size in found)} |", f"|---|{'---|' * len(found)}"]
    for name, title in STAGES.items():
        lines.append(f"| {title} | {' | '.join(f'{stages[name]:.2f}' for stages in found.values())} |")
    lines.append(f"| all | {' | '.join(f'{sum(stages.values()):.2f}' for stages in found.values())} |")
    section = Section(
        "Where a warm request's time goes", lines, lambda target: plots.stages(target, found, STAGES), "stages.svg"
    )
    return Found([], [section])


def _stages(server_timing: str, billed_ms: float) -> dict[str, float]:
    pairs = (part.split(";dur=") for part in server_timing.split(", "))
    told = {name: float(value) for name, value in pairs}
    total = told.pop("total")
    return {**told, "rest": max(0.0, total - sum(told.values())), "runtime": max(0.0, billed_ms - total)}
