"""Sum up a job that has processed all its batches: the state machine's last step.

Only the batches' own counts are read, and their files of failed rows; rows of batches whose counts are not there.
"""

from __future__ import annotations

import json
import tempfile
import time
from array import array
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore.config import Config

from loupe.bulk.keys import failures_key, failures_prefix, summary_key
from loupe.jobs.estimate import cost
from loupe.jobs.outputs import child_outputs
from loupe.jobs.storage import MAX_SUMMARY_BYTES, network_problems
from loupe.jobs.view import timestamp
from loupe.log import write_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loupe.jobs.settings import JobsSettings
    from loupe.jobs.storage import Storage

SUCCEEDED, TOO_MANY_FAILED = "succeeded", "too_many_failed"
# Bounds on failures.jsonl: files of failed rows that are read, and bytes that are written. A batch has one file.
MAX_FAILURE_FILES = 10_000
MAX_FAILURE_BYTES = 256 * 1024 * 1024
# Files that are read at once and held until they are written; one is at most as large as a batch's input.
_READ_TOGETHER = 64
_WORKERS = 16
# Labels that a summary lists at most; fewer where their names are long.
MAX_LABELS = 10_000
_INDENT = 1


# No client waits for a summary, and it uploads up to `MAX_FAILURE_BYTES` in one request.
_CLIENT_CONFIG = Config(
    connect_timeout=1,
    read_timeout=60,
    retries={"total_max_attempts": 4, "mode": "standard"},
    max_pool_connections=_WORKERS,
)


def summary_client() -> Any:
    """Create a client for what a summary reads and writes."""
    return boto3.client("s3", config=_CLIENT_CONFIG)


class Totals:
    """Counts of all batches together.

    Attributes
    ----------
    firsts
        Index of the first item of each batch.
    failure_keys
        Files of failed rows, at most `MAX_FAILURE_FILES`; ``failure_files`` counts them all.
    """

    def __init__(self) -> None:
        self.batches = self.rows = self.succeeded = self.failed = self.skipped = self.failure_files = 0
        self.firsts = array("I")
        self.busy_seconds = 0.0
        self.labels: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.models: dict[str, dict[str, str]] = {}
        self.failure_keys: list[str] = []

    def add(self, output: Mapping[str, Any]) -> None:
        """Add the result of one batch."""
        self.batches += 1
        self.rows += output["rows"]
        self.succeeded += output["succeeded"]
        self.failed += output["failed"]
        self.skipped += output["skipped"]
        self.firsts.append(output["first"])
        self.busy_seconds += output["duration_ms"] / 1e3
        self.labels.update(output["labels"])
        self.codes.update(output["codes"])
        if model := output.get("model"):
            self.models.setdefault(json.dumps(model, sort_keys=True), model)
        if output["failures_key"] is not None:
            self.failure_files += 1
            if len(self.failure_keys) < MAX_FAILURE_FILES:
                self.failure_keys.append(output["failures_key"])

    @property
    def items(self) -> int:
        """Items of the source that have their row, or were skipped."""
        return self.rows + self.skipped

    @property
    def failed_percentage(self) -> float:
        """Percentage of rows that failed; 0 without rows."""
        return 100 * self.failed / self.rows if self.rows else 0.0


class Failures(NamedTuple):
    """The manifest of failed rows: ``key`` is None without any, ``complete`` false if a bound cut it off."""

    key: str | None
    complete: bool


class Summarizer:
    """Writes a job's ``summary.json`` and ``failures.jsonl``.

    Parameters
    ----------
    count_items
        The number of items of a Map Run, by its ARN.
    """

    def __init__(
        self, settings: JobsSettings, s3: Storage, count_items: Callable[[str], int], now: Callable[[], datetime]
    ) -> None:
        self._settings, self._s3, self._count_items, self._now = settings, s3, count_items, now

    def run(self, event: Mapping[str, Any], deadline: float = inf) -> dict[str, Any]:
        """Sum up the job of ``{"action": "summarize", "job": ..., "map": <the map's output>, "started": <time>}``.

        Parameters
        ----------
        deadline
            Monotonic seconds after which no further row or failure file is read.

        Returns
        -------
        dict
            What the state machine decides by: ``status`` is "succeeded" or "too_many_failed".

        Raises
        ------
        ValueError
            If the event is no such request, or a file of the map is damaged.
        loupe.errors.JobsUnavailable
            If S3 does not answer; another attempt overwrites the same objects.
        """
        if not isinstance(event, dict) or event.get("action") != "summarize":
            raise ValueError("the event is neither an HTTP request nor a request for a summary")
        job, details = event["job"], event["map"]["ResultWriterDetails"]
        totals = Totals()
        for output in child_outputs(self._s3, details["Bucket"], details["Key"]):
            totals.add(output)
        items = self._count_items(event["map"]["MapRunArn"])
        if totals.items < items:
            from loupe.jobs.unlisted import unlisted_outputs

            bucket = self._settings.results_bucket
            for output in unlisted_outputs(self._s3, bucket, job["id"], frozenset(totals.firsts), deadline):
                totals.add(output)
        failures = self._write_failures(job["id"], totals, deadline)
        status = TOO_MANY_FAILED if totals.failed_percentage > job["tolerated_failure_percentage"] else SUCCEEDED
        summary = self._summary(job, totals, items, failures, status, datetime.fromisoformat(event["started"]))
        body = json.dumps(summary, indent=_INDENT).encode()
        with network_problems():
            self._s3.put_object(
                Bucket=self._settings.results_bucket,
                Key=summary_key(job["id"]),
                Body=body,
                ContentType="application/json",
            )
        counts = {key: summary[key] for key in ("images", "succeeded", "failed", "skipped", "failed_percentage")}
        write_log(
            "loupe-jobs",
            self._settings.environment,
            "INFO",
            "job summary",
            {"job": job["id"], "status": status, **counts},
        )
        return {"status": status, **counts, "summary_key": summary_key(job["id"])}

    def _summary(
        self,
        job: Mapping[str, Any],
        totals: Totals,
        items: int,
        failures: Failures,
        status: str,
        started: datetime,
    ) -> dict[str, Any]:
        ended = self._now()
        seconds = max(0.0, (ended - started).total_seconds())
        source = job["source"]
        summary: dict[str, Any] = {
            "id": job["id"],
            "status": status,
            "source": f"s3://{source['bucket']}/{source.get('key', source.get('prefix', ''))}",
            "models": list(totals.models.values()),
            "images": totals.rows,
            "succeeded": totals.succeeded,
            "failed": totals.failed,
            "skipped": totals.skipped,
            "failed_percentage": round(totals.failed_percentage, 4),
            "tolerated_failure_percentage": job["tolerated_failure_percentage"],
            # Every item of the source has its row, or was skipped.
            "complete": totals.items >= items,
            "labels": {},
            "labels_omitted": len(totals.labels),
            "failures_by_code": dict(totals.codes.most_common()),
            "failures": {
                "file": failures.key,
                "complete": failures.complete,
                "prefix": failures_prefix(job["id"]),
            },
            "batches": totals.batches,
            "started_at": timestamp(started),
            "ended_at": timestamp(ended),
            "duration_seconds": round(seconds, 1),
            "images_per_second": round(totals.rows / seconds, 2) if seconds else None,
            "busy_seconds": round(totals.busy_seconds, 1),
            "usd": cost(
                self._settings.rates,
                images=totals.rows,
                batches=totals.batches,
                busy_seconds=totals.busy_seconds,
            ),
        }
        labels = _listed(totals.labels, MAX_SUMMARY_BYTES - len(json.dumps(summary, indent=_INDENT)))
        return {**summary, "labels": labels, "labels_omitted": len(totals.labels) - len(labels)}

    def _write_failures(self, job_id: str, totals: Totals, deadline: float) -> Failures:
        """Join the batches' files of failed rows to one manifest, in the order of the job's source."""
        if not totals.failure_keys:
            return Failures(None, complete=True)
        complete = totals.failure_files == len(totals.failure_keys)
        with tempfile.TemporaryFile() as file:
            for content in self._contents(sorted(totals.failure_keys)):
                if file.tell() + len(content) > MAX_FAILURE_BYTES or time.monotonic() > deadline:
                    complete = False
                    break
                file.write(content)
            file.seek(0)
            with network_problems():
                self._s3.put_object(
                    Bucket=self._settings.results_bucket,
                    Key=failures_key(job_id),
                    Body=file,
                    ContentType="application/x-ndjson",
                )
        return Failures(failures_key(job_id), complete)

    def _contents(self, keys: Sequence[str]) -> Iterable[bytes]:
        with ThreadPoolExecutor(_WORKERS, "loupe-summary") as pool:
            for start in range(0, len(keys), _READ_TOGETHER):
                yield from pool.map(self._content, keys[start : start + _READ_TOGETHER])

    def _content(self, key: str) -> bytes:
        with (
            network_problems(),
            self._s3.get_object(Bucket=self._settings.results_bucket, Key=key)["Body"] as body,
        ):
            data: bytes = body.read()
        return data


def _listed(labels: Counter[str], size: int) -> dict[str, int]:
    """Return the most frequent labels, at most `MAX_LABELS`, that take at most ``size`` bytes of a summary."""
    listed: dict[str, int] = {}
    # The line of the closing bracket.
    size -= 1 + _INDENT
    for label, count in labels.most_common(MAX_LABELS):
        # Line break, indentation, ": " and ",".
        size -= len(json.dumps(label)) + len(str(count)) + 2 * _INDENT + 4
        if size < 0:
            break
        listed[label] = count
    return listed
