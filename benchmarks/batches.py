"""A batch of 32 in one request against 32 requests, at the handler, on all cores."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from benchmarks import subjects
from benchmarks.timing import Row, alternate, median, ratio
from benchmarks.warm import quiet
from benchmarks.workload import photo

TARGET = 1.5
SIZE = 32


def run(shipped: Path, rounds: int) -> list[Row]:
    """Small photos, as 32 of them have to fit in a request."""
    pictures = [photo(400, 300, seed=seed) for seed in range(SIZE)]
    events = [subjects.http_event(data) for data in pictures]
    items = [{"image": base64.b64encode(data).decode()} for data in pictures]
    event = {
        **events[0],
        "path": "/v1/classify/batch",
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"items": items}),
        "isBase64Encoded": False,
    }
    with quiet():
        handler = subjects.ours(shipped)
        answer = handler(event, subjects.CONTEXT)
        if answer["statusCode"] != 200 or '"error"' in answer["body"]:
            raise RuntimeError(answer["body"][:300])
        samples = alternate(
            {
                "batch": lambda: handler(event, subjects.CONTEXT),
                "singles": lambda: [handler(each, subjects.CONTEXT) for each in events],
            },
            rounds,
        )
    value, interval = ratio(samples["singles"], samples["batch"])
    detail = f"{median(samples['singles']):.0f} ms / {median(samples['batch']):.0f} ms"
    return [
        Row(
            "Batch", f"{SIZE} pictures in one request against {SIZE} requests", value, TARGET, "least", detail, interval
        )
    ]
