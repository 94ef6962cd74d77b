"""A job's files as links: summary, failed rows, and row files page by page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from loupe.bulk.keys import failures_key, rows_prefix, summary_key
from loupe.errors import RequestInvalid
from loupe.jobs.listing import single_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loupe.jobs.storage import ResultsBucket

# Links of one page: each has up to 2 KB, with a session token in it.
FILES_PER_PAGE = 100
_NAME = re.compile(r"[0-9]{9}-[0-9]{9}-[0-9a-f]{16}\.jsonl")


def result_links(bucket: ResultsBucket, job_id: str, summary: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return where a job's results are: links only to what exists."""
    return {
        "bucket": bucket.bucket,
        "rows_prefix": rows_prefix(job_id),
        "summary_url": None if summary is None else bucket.link(summary_key(job_id)),
        "failures_url": bucket.link(failures_key(job_id)) if summary and summary["failures"]["file"] else None,
    }


def row_files(bucket: ResultsBucket, job_id: str, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return a page of links to a job's row files, in the order of the manifest.

    Raises
    ------
    loupe.errors.RequestInvalid
    """
    after = single_values(query, ("next",)).get("next")
    if after is not None and (len(after) > 64 or not _NAME.fullmatch(after)):
        raise RequestInvalid('"next" must be a value that an answer had. Begin again without it.')
    prefix = rows_prefix(job_id)
    files, more = bucket.list_files(prefix, after, FILES_PER_PAGE)
    return {
        "files": [{"name": name, "bytes": size, "url": bucket.link(prefix + name)} for name, size in files],
        "next": files[-1][0] if more and files else None,
    }
