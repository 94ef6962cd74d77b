"""Requests and responses of the routes of bulk jobs, as OpenAPI operations with examples."""

from __future__ import annotations

from typing import Any

from loupe.errors import (
    CallerUnknown,
    JobConflict,
    JobNotFound,
    JobNotRedrivable,
    JobsUnavailable,
    ManifestInvalid,
    RequestInvalid,
    S3NotAllowed,
)
from loupe.jobs.listing import DEFAULT_LIMIT, MAX_LIMIT
from loupe.jobs.view import STATUSES

from tools.contract.operations import of_model
from tools.contract.parts import Operation, json_content, response, responses

FEATURE = "bulk"
# Mark of the routes that a deployment with bulk jobs and several models has beside the others.
MODEL_JOBS_FEATURE = "bulk-models"
_ID = "5f2b9c0d1e3a4b5c6d7e-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
_JOB: dict[str, Any] = {
    "id": _ID,
    "state": "running",
    "created_at": "2026-11-23T09:00:00Z",
    "ended_at": None,
    "source": "s3://photos/2026/images.jsonl",
    "top": 5,
    "tolerated_failure_percentage": 5.0,
    "max_concurrency": 20,
    "function_version": "7",
    "redrives": 0,
    "progress": None,
    "summary": None,
    "results": {
        "bucket": "loupe-results",
        "rows_prefix": f"jobs/{_ID}/rows/",
        "summary_url": None,
        "failures_url": None,
    },
}
_ESTIMATE = {"images": 120000, "exact": False, "batches": 2400, "seconds": 135.0, "usd": 0.21}
_PROGRESS = {
    "processed": 60000,
    "running": 1000,
    "pending": 59000,
    "in_failed_batches": 0,
    "total": 120000,
    "approximate": True,
    "images_per_second": 980.5,
    "expected_end": "2026-11-23T09:02:01Z",
}
_SUMMARY = {
    "id": _ID,
    "status": "succeeded",
    "source": "s3://photos/2026/images.jsonl",
    "models": [{"name": "hair-type", "version": "1.1.0", "variant": "float16"}],
    "images": 120000,
    "succeeded": 119940,
    "failed": 60,
    "skipped": 0,
    "failed_percentage": 0.05,
    "tolerated_failure_percentage": 5.0,
    "complete": True,
    "labels": {"curly": 50040, "straight": 69900},
    "labels_omitted": 0,
    "failures_by_code": {"image_undecodable": 50, "s3_unreachable": 10},
    "failures": {"file": f"jobs/{_ID}/failures.jsonl", "complete": True, "prefix": f"jobs/{_ID}/failures/"},
    "batches": 2400,
    "started_at": "2026-11-23T09:00:00Z",
    "ended_at": "2026-11-23T09:02:05Z",
    "duration_seconds": 125.0,
    "images_per_second": 960.0,
    "busy_seconds": 2310.0,
    "usd": 0.2,
}
_LINK = "https://loupe-results.s3.eu-west-1.amazonaws.com/jobs/...?X-Amz-Signature=..."
_DONE = {
    **_JOB,
    "state": "succeeded",
    "ended_at": "2026-11-23T09:02:06Z",
    "progress": {
        **_PROGRESS,
        "processed": 120000,
        "running": 0,
        "pending": 0,
        "approximate": False,
        "expected_end": None,
    },
    "summary": _SUMMARY,
    "results": {**_JOB["results"], "summary_url": _LINK, "failures_url": _LINK},
}
_COMMON = (RequestInvalid, CallerUnknown, JobsUnavailable)
_ONE_JOB = (*_COMMON, JobNotFound)
_ID_PARAMETER = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _start() -> Operation:
    return {
        "summary": "Start a job that classifies the images of a manifest or of a prefix in S3",
        "description": "Each image has one row in the results: its scores, or its problem. With an Idempotency-Key a "
        "repeated request returns the same job, also after it has ended (for 90 days).",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "1 to 255 printable ASCII characters, such as a UUID. Another request with it: 409.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": json_content(
                "JobRequest",
                manifest={"manifest": "s3://photos/2026/images.jsonl", "top": 5},
                prefix={"prefix": "s3://photos/2026/", "tolerated_failure_percentage": 1, "max_concurrency": 20},
            ),
        },
        "responses": responses(
            response(
                json_content("Job", started={**_JOB, "estimate": _ESTIMATE}, repeated={**_DONE, "estimate": None}),
                "The job; with the expected time and cost if this request started it.",
                Location="The job's address, relative to the request's.",
            ),
            (*_COMMON, ManifestInvalid, S3NotAllowed, JobConflict),
            keyed=True,
            status=202,
        ),
    }


def _list() -> Operation:
    brief = {key: _JOB[key] for key in ("id", "state", "created_at", "ended_at")}
    return {
        "summary": "List your jobs, the latest first",
        "description": "Those that run, and those that ended within the last 90 days.",
        "parameters": [
            _query("status", "Only jobs in this state.", {"enum": list(STATUSES)}),
            _query("limit", f"At most this many; {DEFAULT_LIMIT} without it.",
                   {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
            _query("next", "The value that the page before this one had.", {"type": "string", "maxLength": 2048}),
        ],
        "responses": responses(
            response(json_content("Jobs", one={"jobs": [brief], "next": None}), "A page of jobs."), _COMMON, keyed=True
        ),
    }  # fmt: skip


def _get() -> Operation:
    return {
        "summary": "Show a job's state, progress, summary and results",
        "parameters": [_ID_PARAMETER],
        "responses": responses(
            response(json_content("Job", running={**_JOB, "progress": _PROGRESS}, done=_DONE), "The job."),
            _ONE_JOB,
            keyed=True,
        ),
    }


def _stop() -> Operation:
    stopped = {**_JOB, "state": "stopped", "ended_at": "2026-11-23T09:01:00Z"}
    return {
        "summary": "Stop a job",
        "description": "Rows that are written stay. A job that has ended is returned as it is.",
        "parameters": [_ID_PARAMETER],
        "responses": responses(response(json_content("Job", stopped=stopped), "The job."), _ONE_JOB, keyed=True),
    }


def _redrive() -> Operation:
    return {
        "summary": "Repeat what did not succeed in a job that failed, was stopped or timed out",
        "description": "Within 14 days of its end. What succeeded is not repeated.",
        "parameters": [_ID_PARAMETER],
        "responses": responses(
            response(json_content("Job", redriven={**_JOB, "redrives": 1}), "The job, which runs again."),
            (*_ONE_JOB, JobNotRedrivable),
            keyed=True,
            status=202,
        ),
    }


def _rows() -> Operation:
    name = "000000000-000000049-0f1e2d3c4b5a6978.jsonl"
    file = {"name": name, "bytes": 11200, "url": _LINK}
    return {
        "summary": "List links to a job's row files",
        "description": "While a job runs, files are added and may be replaced.",
        "parameters": [
            _ID_PARAMETER,
            _query("next", "The value that the page before this one had.", {"type": "string", "maxLength": 64}),
        ],
        "responses": responses(
            response(json_content("JobRows", one={"files": [file], "next": None}), "A page of files."),
            _ONE_JOB,
            keyed=True,
        ),
    }


JOB_OPERATIONS = {
    "startJob": _start,
    "listJobs": _list,
    "getJob": _get,
    "stopJob": _stop,
    "redriveJob": _redrive,
    "listJobRows": _rows,
}


def _start_with_model() -> Operation:
    start = of_model("Start a job that classifies with the model of this name", _start())
    return {**start, "description": "As POST /v1/jobs, which uses the default model. The job names its model."}


MODEL_JOB_OPERATIONS = {"startModelJob": _start_with_model}
