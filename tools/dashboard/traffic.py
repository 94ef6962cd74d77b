"""A local cloud with some minutes of mixed traffic, for the picture."""

from __future__ import annotations

import json
import random
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localcloud import classify, cloud
from localcloud.aws import Account
from localcloud.cloud import Steps
from localcloud.jobs import Jobs
from localcloud.models import golden
from localcloud.state import State

# The release row shows versions of the model.
SETTINGS: Mapping[str, Any] = {"function": {"metrics": {"by_version": True}}}
MODEL = "hair-type"
WORKERS = 3


@contextmanager
def deployed(state: State, steps: Steps) -> Iterator[tuple[dict[str, Any], Account]]:
    """Start a separate local cloud, and end it afterwards."""
    try:
        endpoint = cloud.up(state, 0, SETTINGS, steps)
        yield endpoint, Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"])
    finally:
        cloud.down(state)


def send(endpoint: Mapping[str, Any], account: Account, seconds: float, report: Callable[[str], None]) -> int:
    """Send mixed traffic (varying rate, client errors, batches, a bulk job) and return the number of requests."""
    images = [case.path.read_bytes() for case in golden(MODEL)]
    end, sent = time.monotonic() + seconds, 0
    choose = random.Random(1)  # noqa: S311 - which picture is sent next
    with ThreadPoolExecutor(WORKERS) as pool:
        job = pool.submit(_bulk_job, endpoint, account)
        while (left := end - time.monotonic()) > 0:
            # Twice as many in the second half of the time.
            burst = choose.randint(1, 3) * (2 if left < seconds / 2 else 1)
            list(pool.map(lambda body: _post(endpoint, *body), [_request(choose, images) for _ in range(burst)]))
            sent += burst
            time.sleep(0.4)
        report(f"{sent} requests, and a bulk job of {job.result()} images")
    return sent


def _request(choose: random.Random, images: list[bytes]) -> tuple[str, bytes, str]:
    kind = choose.random()
    if kind < 0.05:
        return "v1/classify", b"this is not an image", "image/jpeg"
    if kind < 0.08:
        return "v1/classify", choose.choice(images)[:400], "image/jpeg"
    if kind < 0.1:
        return "v1/classify", json.dumps({"url": "http://127.0.0.1/x.jpg"}).encode(), "application/json"
    return "v1/classify", choose.choice(images), "image/jpeg"


def _post(endpoint: Mapping[str, Any], path: str, body: bytes, content_type: str) -> int:
    headers = {"x-api-key": endpoint["api_key"], "Content-Type": content_type}
    request = urllib.request.Request(f"{endpoint['url']}{path}", body, headers)  # noqa: S310 - the local cloud
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def _bulk_job(endpoint: Mapping[str, Any], account: Account) -> int:
    s3 = account.client("s3")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(8):
            for case in golden(MODEL):
                (Path(folder) / f"{number}-{case.path.name}").write_bytes(case.path.read_bytes())
        rows = Path(folder) / "results.jsonl"
        outcome = classify.classify(Path(folder), rows, Jobs(dict(endpoint), s3), s3, lambda *_: None)
    return outcome.images
