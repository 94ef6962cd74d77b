"""Cold starts in the Lambda runtime emulator: process start to first response, and the memory of a large request."""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from benchmarks import subjects
from benchmarks.timing import PartResult, Row, Samples, median, ratio
from benchmarks.workload import MEGAPIXELS, photo
from infra.allocator import ALLOCATOR
from localcloud.environment import ExecutionEnvironment, Launch, machine_variables

EMULATOR = subjects.ROOT / ".local" / "tools" / "aws-lambda-rie"
COLD_FLOOR_TARGET, COLD_PEER_TARGET, MEMORY_TARGET = 1.20, 0.70, 0.70


@dataclass(frozen=True)
class Subject:
    """A handler to start: its folder, command and environment variables."""

    root: Path
    command: str
    variables: dict[str, str]

    def start(self, log: Path) -> ExecutionEnvironment:
        variables = machine_variables() | subjects.lambda_variables(self.root, **self.variables)
        return ExecutionEnvironment(Launch(EMULATOR, self.root, self.command, variables, 30.0, log))


def all_subjects(folder: Path, shipped: Path, course: Path) -> dict[str, Subject]:
    """Return Loupe's handler, peer (a) with each model, and the floor."""
    peer, floor = subjects.peer_root(folder), subjects.floor_root(folder)
    graph, course_graph = str(shipped / "model.onnx"), str(course / "model.onnx")
    return {
        "ours": Subject(
            subjects.our_root(folder / "images"), "handler.handler", ALLOCATOR | {"LOUPE_MODEL": "hair-type"}
        ),
        "peer": Subject(peer, "course_handler.handler", {"PEER_MODEL": course_graph}),
        "peer, same model": Subject(peer, "course_handler.handler", {"PEER_MODEL": graph}),
        "floor": Subject(
            floor, "floor_handler.handler", ALLOCATOR | {"PEER_MODEL": graph, "ORT_DISABLE_TELEMETRY": "1"}
        ),
    }


def run(folder: Path, shipped: Path, course: Path, rounds: int) -> PartResult:
    """Start each subject ``rounds`` times in turn; then send a 12 MP image to each."""
    candidates = all_subjects(folder, shipped, course)
    small = json.dumps({"image": base64.b64encode(photo(640, 480)).decode()}).encode()
    samples: Samples = {name: [] for name in candidates}
    order = list(candidates)
    for index in range(rounds + 1):
        for name in order:
            elapsed = _first_response(candidates[name], small, folder / "rie.log")
            # The first round fills the page cache and is not counted.
            if index:
                samples[name].append(elapsed)
        order.append(order.pop(0))
    ms = {name: median(values) for name, values in samples.items()}
    group = "Cold start in the emulator, process start to first response"
    rows = []
    for other, target in (("floor", COLD_FLOOR_TARGET), ("peer", COLD_PEER_TARGET), ("peer, same model", None)):
        value, interval = ratio(samples["ours"], samples[other])
        detail = f"{ms['ours']:.0f} ms / {ms[other]:.0f} ms"
        what = {"floor": "against the floor", "peer": "against peer (a) with the course's model"}.get(other, other)
        rows.append(Row(group, what, value, target, "most" if target else "none", detail, interval))
    return PartResult(rows + _memory(folder, candidates))


def _first_response(subject: Subject, payload: bytes, log: Path) -> float:
    started = time.perf_counter()
    environment = subject.start(log)
    try:
        outcome = environment.invoke(payload, str(uuid.uuid4()))
        elapsed = (time.perf_counter() - started) * 1e3
    finally:
        environment.end()
    if outcome.function_error:
        raise RuntimeError(f"{subject.command}: {outcome.payload.decode()}")
    return elapsed


def _memory(folder: Path, candidates: dict[str, Subject]) -> list[Row]:
    large = json.dumps({"image": base64.b64encode(photo(*MEGAPIXELS[12])).decode()}).encode()
    peaks = {}
    for name in ("ours", "peer", "peer, same model"):
        environment = candidates[name].start(folder / "rie.log")
        try:
            peaks[name] = environment.invoke(large, str(uuid.uuid4())).memory_mib
        finally:
            environment.end()
    return [
        Row("Memory, a 12 MP request", "peak resident set against peer (a)", peaks["ours"] / peaks["peer"],
            MEMORY_TARGET, "most", f"{peaks['ours']} MiB / {peaks['peer']} MiB"),
        Row("Memory, a 12 MP request", "against peer (a), same model", peaks["ours"] / peaks["peer, same model"],
            None, "none", f"{peaks['ours']} MiB / {peaks['peer, same model']} MiB"),
    ]  # fmt: skip
