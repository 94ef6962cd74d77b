"""Bulk batches on two execution environments against a plain two-process loop, and the estimate of a job's time.

Both subjects use the core, the objects and the emulated S3 of one local cloud, which is started and ended here.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bulk_estimate import BATCH_ITEMS, ENVIRONMENTS, estimate_row
from benchmarks.bulk_loop import LoopProcess
from benchmarks.cold import Subject
from benchmarks.subjects import our_root
from benchmarks.timing import PartResult, Row, Samples, Section, alternate, median, ratio
from benchmarks.workload import MEGAPIXELS, photo
from infra.allocator import ALLOCATOR
from localcloud import cloud
from localcloud.aws import Account
from localcloud.cloud import Steps
from localcloud.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.environment import ExecutionEnvironment, Outcome

TARGET = 0.9
WARM_UP = 2
# Different photos; each is stored under several keys.
PHOTOS = 10
PREFIX = "inputs/bench/"
# Milliseconds of a batch: `stages_ms` of the function's log line, and what is outside them.
STAGES = {
    "source": "download (in 8 threads in the function)",
    "decode": "decode the JPEG, scaled (in threads in the function)",
    "tensor": "resize and normalise (in threads in the function)",
    "model": "run the model",
    "store": "write the rows; the function also looks for rows of an earlier attempt",
    "all": "the whole batch",
    "runtime": "Lambda's runtime: fetch and parse the event, send the response",
}


def run(folder: Path, rounds: int, images: int) -> PartResult:
    """Measure ``rounds`` of a batch for each environment, then a job of ``images`` images against its estimate."""
    state = State(folder / "bulk-cloud")
    try:
        settings = {"bulk": {"max_concurrency": ENVIRONMENTS, "batch_items": BATCH_ITEMS}}
        endpoint = cloud.up(state, 0, settings, Steps(lambda _what, _seconds: None))
        account = Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"])
        bucket, s3 = str(endpoint["outputs"]["BulkBucket"]), account.client("s3")
        keys = _upload(s3, bucket)
        variables = {
            **ALLOCATOR,
            **{name: value for name, value in account.environment().items() if name.startswith("AWS_")},
            "LOUPE_MODEL": "hair-type",
            "LOUPE_S3_LOCATIONS": f"{bucket}/{PREFIX}",
            "LOUPE_BULK_RESULTS_BUCKET": bucket,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "300",
        }
        root = our_root(folder / "images")
        samples, profiles = _compare(Subject(root, "bulk.handler", variables), bucket, keys, folder, rounds)
        value, interval = ratio(samples["loop"], samples["bulk"])
        rates = {name: ENVIRONMENTS * BATCH_ITEMS * 1e3 / median(times) for name, times in samples.items()}
        row = Row(
            f"Bulk batches of {BATCH_ITEMS}, 1 MP JPEG, {ENVIRONMENTS} execution environments",
            f"images per second against a loop in {ENVIRONMENTS} processes over the same core and S3",
            value,
            TARGET,
            "least",
            f"{rates['bulk']:.0f}/s / {rates['loop']:.0f}/s; stages below",
            interval,
        )
        estimate = estimate_row(account, endpoint, keys, ENVIRONMENTS / rates["bulk"], images)
    finally:
        cloud.down(state)
        shutil.rmtree(state.root, ignore_errors=True)
    return PartResult([row, estimate], [Section("Where a bulk batch's time goes", stage_table(profiles))])


def stage_table(profiles: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """Return the medians of each stage, in ms, as a table of Markdown; a subject without a stage has an empty cell."""
    lines = [
        f"Medians of a batch of {BATCH_ITEMS} images, ms, while {ENVIRONMENTS} batches are processed at once. Stages",
        "in threads are added up over the threads, which wait for a core, too: the sum exceeds the whole batch.",
        "",
        "| stage | bulk function | loop |",
        "|---|---|---|",
    ]
    for name, title in STAGES.items():
        cells = []
        for subject in ("bulk", "loop"):
            values = [profile[name] for profile in profiles[subject] if name in profile]
            cells.append(f"{median(values):.1f}" if values else "")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def read_profile(outcome: Outcome) -> dict[str, float]:
    """Return the stages of a batch, in ms, from its response and its log line.

    Raises
    ------
    RuntimeError
        If the batch failed, or not every image was classified.
    """
    result = json.loads(outcome.payload)
    if outcome.function_error or result["succeeded"] != BATCH_ITEMS:
        raise RuntimeError(outcome.payload[:300])
    (line,) = (json.loads(text) for text in outcome.output if '"message":"batch"' in text)
    duration = float(line["duration_ms"])
    return {**line["stages_ms"], "all": duration, "runtime": max(0.0, outcome.duration_ms - duration)}


def _upload(s3: Any, bucket: str) -> list[str]:
    """Store a batch's images for each environment and return their keys."""
    photos = [photo(*MEGAPIXELS[1], seed=seed) for seed in range(PHOTOS)]
    keys = [f"{PREFIX}{index:03}.jpg" for index in range(ENVIRONMENTS * BATCH_ITEMS)]
    for index, key in enumerate(keys):
        s3.put_object(Bucket=bucket, Key=key, Body=photos[index % PHOTOS])
    return keys


def _compare(
    subject: Subject, bucket: str, keys: list[str], folder: Path, rounds: int
) -> tuple[Samples, dict[str, list[dict[str, float]]]]:
    parts = [keys[first : first + BATCH_ITEMS] for first in range(0, len(keys), BATCH_ITEMS)]
    profiles: dict[str, list[dict[str, float]]] = {"bulk": [], "loop": []}
    with (
        _environments(subject, folder) as environments,
        _loops(subject, bucket) as loops,
        ThreadPoolExecutor(ENVIRONMENTS) as pool,
    ):

        def bulk() -> None:
            # A new job each time: rows of an earlier one would be resumed.
            job = f"bench-{uuid.uuid4().hex}"
            profiles["bulk"] += pool.map(partial(_batch, bucket, job), environments, parts)

        def loop() -> None:
            profiles["loop"] += pool.map(LoopProcess.run, loops, parts)

        samples = alternate({"bulk": bulk, "loop": loop}, rounds, WARM_UP)
    return samples, {name: values[WARM_UP * ENVIRONMENTS :] for name, values in profiles.items()}


def _batch(bucket: str, job: str, environment: ExecutionEnvironment, keys: list[str]) -> dict[str, float]:
    source = {"type": "jsonl", "bucket": bucket, "key": f"{PREFIX}manifest.jsonl"}
    event = {
        "BatchInput": {"job": {"id": job, "source": source, "top": 5}},
        "Items": [{"index": int(Path(key).stem), "item": {"key": key}} for key in keys],
    }
    return read_profile(environment.invoke(json.dumps(event).encode(), str(uuid.uuid4())))


@contextlib.contextmanager
def _environments(subject: Subject, folder: Path) -> Iterator[list[ExecutionEnvironment]]:
    with contextlib.ExitStack() as stack:
        started = []
        for index in range(ENVIRONMENTS):
            started.append(subject.start(folder / f"rie-bulk-{index}.log"))
            stack.callback(started[-1].end)
        yield started


@contextlib.contextmanager
def _loops(subject: Subject, bucket: str) -> Iterator[list[LoopProcess]]:
    with contextlib.ExitStack() as stack:
        variables = {**subject.variables, "LOUPE_MODELS_DIR": str(subject.root / "models")}
        yield [stack.enter_context(contextlib.closing(LoopProcess(variables, bucket))) for _ in range(ENVIRONMENTS)]
