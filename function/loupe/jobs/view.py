"""A job as the API shows it: from its execution, its map run and its summary."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Status of an execution -> state of a job.
STATES = {
    "RUNNING": "running",
    "PENDING_REDRIVE": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "ABORTED": "stopped",
    "TIMED_OUT": "timed_out",
}
# State of a job -> status that executions are listed by. PENDING_REDRIVE is that of children alone.
STATUSES = {state: status for status, state in STATES.items() if status != "PENDING_REDRIVE"}
# Error of an execution that processed every image, and more of them failed than the job tolerates.
TOO_MANY_FAILED = "TooManyFailedImages"
_TOO_MANY = (
    "More images failed than tolerated_failure_percentage allows. The results are complete; failures.jsonl is a "
    "manifest for a new job with the failed ones."
)
_REDRIVE = "Send POST /v1/jobs/{id}/redrive within 14 days: it repeats what did not succeed, and nothing else."
# Error of an execution (Step Functions developer guide, 'Error names') -> a word for programs, and a sentence. The
# execution's own cause names resources of the account, so it is left out.
_ERRORS = {
    TOO_MANY_FAILED: ("too_many_failed_images", _TOO_MANY),
    "States.ItemReaderFailed": (
        "source_unreadable",
        "The manifest or the listing could not be read: a row is no JSON, the header or a permission is missing. If "
        "the manifest has to be corrected, start a new job. Otherwise, remove the cause. " + _REDRIVE,
    ),
    "States.DataLimitExceeded": (
        "source_unreadable",
        "A row of the manifest is too large: it may have 200 KiB. Shorten it and start a new job.",
    ),
    "States.ResultWriterFailed": ("results_unwritable", "The batches' results could not be written. " + _REDRIVE),
    "States.ExceedToleratedFailureThreshold": (
        "batch_failed",
        "A batch failed in spite of its retries, which ended the job. Rows of the other batches are there; there is no "
        "summary. " + _REDRIVE,
    ),
    "States.Timeout": ("timed_out", "The job ran for longer than it may. " + _REDRIVE),
}
_OTHER_ERROR = ("job_failed", "The job ended before all images were processed; there is no summary. " + _REDRIVE)


def state_of(execution: Mapping[str, Any]) -> str:
    """Return the state of an execution's job."""
    return STATES.get(str(execution["status"]), "running")


def listed_job(execution: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as a listing shows it."""
    return {
        "id": execution["name"],
        "state": state_of(execution),
        "created_at": timestamp(execution["startDate"]),
        "ended_at": timestamp(execution.get("stopDate")),
    }


def job_input(execution: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job that an execution was started with."""
    job: dict[str, Any] = json.loads(execution["input"])["job"]
    return job


def full(
    execution: Mapping[str, Any],
    map_run: Mapping[str, Any] | None,
    summary: Mapping[str, Any] | None,
    now: datetime,
) -> dict[str, Any]:
    """Return a job with its progress, and its summary where it has one."""
    job = job_input(execution)
    source = job["source"]
    state = state_of(execution)
    shown: dict[str, Any] = {
        **listed_job(execution),
        "source": f"s3://{source['bucket']}/{source.get('key', source.get('prefix', ''))}",
        "top": job["top"],
        "tolerated_failure_percentage": job["tolerated_failure_percentage"],
        "max_concurrency": job["max_concurrency"],
        "function_version": job["function"].rpartition(":")[2],
        "redrives": int(execution.get("redriveCount", 0)),
        "progress": None if map_run is None else progress(map_run, now, running=state == "running"),
        "summary": summary,
    }
    if "model" in job:
        shown["model"] = job["model"]
    if state in ("failed", "timed_out"):
        error = "States.Timeout" if state == "timed_out" else str(execution.get("error", ""))
        code, detail = _ERRORS.get(error, _OTHER_ERROR)
        shown["error"] = {"code": code, "detail": detail.replace("{id}", str(execution["name"]))}
    return shown


def progress(map_run: Mapping[str, Any], now: datetime, *, running: bool) -> dict[str, Any]:
    """Return counts of a map run, in images.

    Step Functions counts the items of batches, so the numbers move by whole batches, and ``total`` grows for as long as
    the reader reads: there is no sign of its end, so all counts are approximate until the job ends.
    """
    counts = map_run["itemCounts"]
    processed = counts["succeeded"]
    unsuccessful = counts["failed"] + counts["timedOut"] + counts["aborted"]
    waiting = counts["pending"] + counts["running"]
    seconds = ((now if running else map_run.get("stopDate") or now) - map_run["startDate"]).total_seconds()
    rate = processed / seconds if processed and seconds > 0 else None
    return {
        "processed": processed,
        "running": counts["running"],
        "pending": counts["pending"] + counts.get("pendingRedrive", 0),
        "in_failed_batches": unsuccessful,
        "total": counts["total"],
        "approximate": running,
        "images_per_second": None if rate is None else round(rate, 2),
        "expected_end": timestamp(now + timedelta(seconds=waiting / rate)) if running and rate else None,
    }


def timestamp(value: datetime | None) -> str | None:
    """Return a time in UTC (RFC 3339), to the second."""
    return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
