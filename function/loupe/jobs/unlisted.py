"""Batches that the map's result files do not list, counted from their rows.

AWS does not document whether ResultWriter lists what succeeded before a redrive ('Redriving Map Runs' and 'ResultWriter
(Map)', Step Functions developer guide). The rows of those batches are complete: a map ends when all batches succeeded.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from loupe.bulk.keys import failures_prefix, rows_prefix
from loupe.bulk.rows import BatchCounts, read_rows
from loupe.jobs.storage import network_problems

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from loupe.jobs.storage import Storage

# Row files that are read for one summary.
MAX_FILES = 10_000
_NAME = re.compile(r"([0-9]{9})-([0-9]{9})-[0-9a-f]{16}\.jsonl")


def unlisted_outputs(
    s3: Storage, bucket: str, job_id: str, listed: Container[int], deadline: float
) -> Iterator[dict[str, Any]]:
    """Yield outputs, as batches return them, for the row files of other batches; their duration is not known.

    Parameters
    ----------
    listed
        First indexes of the batches whose outputs are known.
    deadline
        Monotonic seconds after which no further file is read; at most `MAX_FILES` are.

    Raises
    ------
    loupe.errors.JobsUnavailable
        If S3 does not answer.
    """
    read = 0
    for name in _names(s3, bucket, rows_prefix(job_id)):
        match = _NAME.fullmatch(name)
        if match is None or int(match[1]) in listed:
            continue
        if read == MAX_FILES or time.monotonic() > deadline:
            return
        read += 1
        with network_problems(), s3.get_object(Bucket=bucket, Key=rows_prefix(job_id) + name)["Body"] as body:
            content: bytes = body.read()
        yield _output(job_id, name, int(match[1]), int(match[2]), content)


def _names(s3: Storage, bucket: str, prefix: str) -> Iterator[str]:
    token: dict[str, str] = {}
    while True:
        with network_problems():
            page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)
        for listed in page.get("Contents", ()):
            yield listed["Key"].removeprefix(prefix)
        if "NextContinuationToken" not in page:
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _output(job_id: str, name: str, first: int, last: int, content: bytes) -> dict[str, Any]:
    rows = read_rows(content)
    counts = BatchCounts.of(rows.values())
    return {
        "first": first,
        "last": last,
        "rows": len(rows),
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        # Only objects of a listing have no row.
        "skipped": last - first + 1 - len(rows),
        "labels": counts.labels,
        "codes": counts.codes,
        "failures_key": failures_prefix(job_id) + name if counts.failed else None,
        "duration_ms": 0.0,
    }
