"""A whole job: the map as AWS documents it, the bulk function's batches under failures, and the summary."""

from __future__ import annotations

import json
import random
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from bulk_fakes import RESULTS, FakeBucketStore, jobs_settings
from events import Context
from loupe.bulk.batch import BatchUnfinished
from loupe.bulk.keys import failures_key, rows_prefix, summary_key
from loupe.jobs.summarize import Summarizer
from loupe.service import Service
from state_machines import Machines, mapped
from test_bulk_batch import Bulk, Slow

from localcloud.stepfunctions.limits import StatesError

JOB_ID = "0" * 20 + "-" + "1" * 32
ROWS = 600
RETRY = [{"ErrorEquals": ["Lambda.Unknown", "BatchUnfinished"], "IntervalSeconds": 1, "MaxAttempts": 8,
          "BackoffRate": 1, "JitterStrategy": "FULL"}]  # fmt: skip
WRITER = {
    "Resource": "arn:aws:states:::s3:putObject",
    "Parameters": {"Bucket": RESULTS, "Prefix": f"jobs/{JOB_ID}/map"},
    "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
}


def key_of(index: int) -> str:
    """Each tenth row repeats the one before; 15 images are broken, 5 missing."""
    if index % 40 == 7:
        return "broken.jpg"
    if index % 120 == 11:
        return "missing.jpg"
    return ("red.jpg", "blue.jpg", "a b+c é.jpg")[(index - (index % 10 == 9)) % 3]


class Lambda:
    """Runs batches and ends some of them: before they write, after they have written, and out of time."""

    def __init__(self, bulk: Bulk, slow: Slow) -> None:
        self._bulk, self._slow = bulk, slow
        self._random, self._lock = random.Random(5), threading.Lock()
        self.failures = 0

    def __call__(self, payload: Any) -> Any:
        # One batch at a time: the service of the test is not one of several environments.
        with self._lock:
            fate = self._random.choice(["good", "good", "killed", "killed after", "out of time"])
            self._slow.most = 7 if fate == "out of time" else 1000
            self.failures += fate != "good"
            if fate == "killed":
                raise StatesError("Lambda.Unknown", "the execution environment ended")
            try:
                result = self._bulk.invocations.run(payload, Context(remaining_ms=15_000))
            except BatchUnfinished as error:
                raise StatesError("BatchUnfinished", str(error)) from None
            if fate == "killed after":
                raise StatesError("Lambda.Unknown", "the execution environment ended")
            return json.loads(json.dumps(result))


@pytest.mark.parametrize("writer", [WRITER, {**WRITER, "WriterConfig": None}], ids=["COMPACT", "NONE"])
def test_every_manifest_row_has_one_row_despite_interrupted_batches(classifier, monkeypatch, writer) -> None:
    slow = Slow(Service(classifier), 1000)
    bulk = Bulk(classifier, slow)
    function = Lambda(bulk, slow)
    machines = Machines(monkeypatch)
    machines.call = function
    manifest = "".join(json.dumps({"key": key_of(index)}, ensure_ascii=False) + "\n" for index in range(ROWS))
    machines.store.objects["data/in.jsonl"] = manifest.encode()
    job = {
        "id": JOB_ID,
        "source": {"type": "jsonl", "bucket": "photos", "key": "in.jsonl"},
        "top": 5,
        "tolerated_failure_percentage": 5.0,
    }
    batcher = {"MaxItemsPerBatch": 20, "BatchInput": {"job.$": "$.job"}}
    writer = {name: value for name, value in writer.items() if value is not None}
    machine = machines.create(mapped(ItemBatcher=batcher, ResultWriter=writer, Retry=RETRY, MaxConcurrency=4))
    execution = machines.run(machine, {"job": job})
    assert execution["status"] == "SUCCEEDED", execution
    assert function.failures > 10

    rows = bulk.rows()
    assert [row["index"] for row in rows] == list(range(ROWS))
    assert [row["key"] for row in rows] == [key_of(index) for index in range(ROWS)]
    assert len([key for _, key in bulk.results.objects if key.startswith(rows_prefix(JOB_ID))]) == ROWS / 20

    results = FakeBucketStore(bulk.results.objects)
    for name, content in machines.store.objects.items():
        if name.startswith(f"{RESULTS}/"):
            results.objects[RESULTS, name.removeprefix(f"{RESULTS}/")] = content
    event = {"action": "summarize", "job": job, "map": json.loads(execution["output"]),
             "started": datetime.now(UTC).isoformat()}  # fmt: skip
    answer = Summarizer(jobs_settings(), results, lambda _: ROWS, lambda: datetime.now(UTC)).run(event)
    summary = json.loads(results.objects[RESULTS, summary_key(JOB_ID)])
    assert (answer["status"], answer["images"], answer["failed"]) == ("succeeded", ROWS, 20)
    assert summary["failures_by_code"] == {"image_undecodable": 15, "s3_unreachable": 5}
    assert summary["complete"] is True
    assert sum(summary["labels"].values()) == ROWS - 20
    assert len(results.objects[RESULTS, failures_key(JOB_ID)].splitlines()) == 20
