"""A job of a million images: its manifest is streamed, and its summary needs little memory."""

from __future__ import annotations

import json
import tracemalloc

from state_machines import FakeStore
from test_jobs_summary import Job, lines, output

from localcloud.stepfunctions.batches import Batcher
from localcloud.stepfunctions.readers import GET_OBJECT, read_items


def test_a_million_rows_stream_through_reader_and_batcher() -> None:
    body = b"".join(b'{"key":"images/%07d.jpg"}\n' % number for number in range(1_000_000))
    store = FakeStore()
    store.objects["b/k"] = body
    items = read_items(GET_OBJECT, {"Bucket": "b", "Key": "k"}, {"InputType": "JSONL"}, store)
    children = total = 0
    last = ""
    for batch in Batcher(50, 204_800, {"job": {"id": "j"}}).batches(items):
        children, total, last = children + 1, total + batch.items, batch.text
    assert (children, total) == (20_000, 1_000_000)
    assert json.loads(last)["Items"][-1] == {"key": "images/0999999.jpg"}


def test_a_million_images_are_summed_up_in_little_memory() -> None:
    values = [output(first, 50) for first in range(0, 1_000_000, 50)]
    job = Job(*(lines(values[start : start + 5000]) for start in range(0, len(values), 5000)))
    tracemalloc.start()
    answer = job.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer["images"] == 1_000_000
    assert job.summary["complete"] is True
    assert peak < 16 * 1024 * 1024
