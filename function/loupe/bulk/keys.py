"""Keys of a job's objects in the results bucket: the layout that the bulk and the jobs function share."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

JOBS_PREFIX = "jobs/"
UPLOADS_PREFIX = "uploads/"
# No bucket has a name that begins with a dot.
SENT_PREFIX = f"{UPLOADS_PREFIX}.sent/"
# Indexes are padded, so that a listing has the order of the manifest. A map has at most 100,000,000 items (AWS Step
# Functions developer guide, 'Distributed Map state').
_DIGITS = 9
_HASH_CHARACTERS = 16


def job_prefix(job_id: str) -> str:
    """Return the prefix of everything that a job writes."""
    return f"{JOBS_PREFIX}{job_id}/"


def rows_prefix(job_id: str) -> str:
    """Return the prefix of a job's row files."""
    return f"{job_prefix(job_id)}rows/"


def failures_prefix(job_id: str) -> str:
    """Return the prefix of a job's failure files."""
    return f"{job_prefix(job_id)}failures/"


def summary_key(job_id: str) -> str:
    """Return the key of a job's summary."""
    return f"{job_prefix(job_id)}summary.json"


def failures_key(job_id: str) -> str:
    """Return the key of the manifest of a job's failed rows."""
    return f"{job_prefix(job_id)}failures.jsonl"


def batch_name(items: Sequence[Any]) -> str:
    """Return the file name of a batch, which depends on its items alone: a retry overwrites.

    Parameters
    ----------
    items
        The batch's items as the map passes them, ``{"index": ..., "item": ...}``; at least one.
    """
    content = json.dumps(items, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:_HASH_CHARACTERS]
    return f"{items[0]['index']:0{_DIGITS}}-{items[-1]['index']:0{_DIGITS}}-{digest}.jsonl"


def upload_key(bucket: str, key: str, version: str) -> str:
    """Return the key of the row of an object that arrived; ``version`` distinguishes overwritten objects."""
    digest = hashlib.sha256(f"{len(key)}\0{key}\0{version}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{UPLOADS_PREFIX}{bucket}/{digest}.json"


def notification_key(row_key: str) -> str:
    """Return the key of the empty object that says that the message about a row was sent."""
    return SENT_PREFIX + row_key.removeprefix(UPLOADS_PREFIX).removesuffix(".json")
