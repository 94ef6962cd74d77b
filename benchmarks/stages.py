"""Duration of a warm request's stages, from its Server-Timing header, in the runtime emulator on one core."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

from benchmarks import plots
from benchmarks.cold import all_subjects
from benchmarks.subjects import http_event
from benchmarks.timing import PartResult, Section, median
from benchmarks.workload import MEGAPIXELS, photo

# The handler's stages (Server-Timing), then the time outside them.
STAGES = {
    "source": "base64 and checks of the event",
    "decode": "decode the JPEG, scaled",
    "tensor": "resize and normalise",
    "model": "run the model",
    "rest": "parse the event, response, log line, metrics",
    "runtime": "Lambda's runtime: fetch and parse the event, send the response",
}


def run(folder: Path, shipped: Path, course: Path, rounds: int) -> PartResult:
    """Send both image sizes and return the median of each stage."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    environment = all_subjects(folder, shipped, course)["ours"].start(folder / "rie.log")
    try:
        medians = {}
        for megapixels, size in MEGAPIXELS.items():
            event = json.dumps(http_event(photo(*size))).encode()
            samples = []
            for index in range(rounds + 3):
                outcome = environment.invoke(event, str(uuid.uuid4()))
                response = json.loads(outcome.payload)
                if outcome.function_error or response["statusCode"] != 200:
                    raise RuntimeError(outcome.payload[:300])
                if index >= 3:
                    samples.append(_stages(response["headers"]["Server-Timing"], outcome.duration_ms))
            medians[f"{megapixels} MP"] = {name: median([sample[name] for sample in samples]) for name in STAGES}
    finally:
        environment.end()
        os.sched_setaffinity(0, allowed)
    lines = [f"| stage | {' | '.join(f'{size}, ms' for size in medians)} |", f"|---|{'---|' * len(medians)}"]
    for name, title in STAGES.items():
        lines.append(f"| {title} | {' | '.join(f'{stages[name]:.2f}' for stages in medians.values())} |")
    lines.append(f"| all | {' | '.join(f'{sum(stages.values()):.2f}' for stages in medians.values())} |")
    section = Section(
        "Where a warm request's time goes", lines, lambda target: plots.stages(target, medians, STAGES), "stages.svg"
    )
    return PartResult([], [section])


def _stages(server_timing: str, billed_ms: float) -> dict[str, float]:
    pairs = (part.split(";dur=") for part in server_timing.split(", "))
    durations = {name: float(value) for name, value in pairs}
    total = durations.pop("total")
    return {**durations, "rest": max(0.0, total - sum(durations.values())), "runtime": max(0.0, billed_ms - total)}
