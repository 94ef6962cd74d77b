"""A manifest of a million rows streams through the readers of the local Step Functions."""

from __future__ import annotations

import json

from state_machines import FakeStore

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
