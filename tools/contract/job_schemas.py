"""JSON Schemas of bulk jobs."""

from __future__ import annotations

from loupe.jobs.request import DEFAULT_TOLERATED_PERCENTAGE
from loupe.jobs.settings import MAX_CONCURRENCY_RANGE
from loupe.jobs.view import STATUSES

from tools.contract.schemas import COUNT, TEXT, Schema, json_object, ref

_TIME: Schema = {"type": "string", "format": "date-time"}
_PERCENTAGE: Schema = {"type": "number", "minimum": 0, "maximum": 100}
_USD: Schema = {"type": "number", "minimum": 0, "description": "US dollars at list prices."}
_COUNTS: Schema = {"type": "object", "additionalProperties": COUNT}
_URI: Schema = {"type": "string", "format": "uri", "description": "May be read by anybody until it expires."}

_OPTIONS = {
    "top": ref("Top"),
    "tolerated_failure_percentage": {
        **_PERCENTAGE,
        "default": DEFAULT_TOLERATED_PERCENTAGE,
        "description": "The job fails if more of its images fail. Its results are complete either way.",
    },
    "max_concurrency": {
        "type": "integer",
        "minimum": MAX_CONCURRENCY_RANGE[0],
        "maximum": MAX_CONCURRENCY_RANGE[1],
        "description": "Batches at once; by default, and at most, what the deployment allows.",
    },
}
_SOURCES = {
    "manifest": ("Manifest", "s3://bucket/key of a .jsonl or .csv object, whose rows name images.", "\\.(jsonl|csv)$"),
    "prefix": ("Prefix", "s3://bucket/folder/ whose images are classified, those of its subfolders too.", "/$"),
}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


JOB_REQUESTS: dict[str, Schema] = {
    "JobRequest": {
        "description": "Where the images are listed, and how they are processed.",
        "oneOf": [ref(f"JobRequest{suffix}") for suffix, _, _ in _SOURCES.values()],
    },
    **{
        f"JobRequest{suffix}": {
            "type": "object",
            "title": f"JobRequest{suffix}",
            "properties": {
                name: {
                    "type": "string",
                    "maxLength": 1093,
                    "pattern": f"^s3://[a-z0-9.-]+/.*{end}",
                    "description": what,
                },
                **_OPTIONS,
            },
            "required": [name],
            "additionalProperties": False,
        }
        for name, (suffix, what, end) in _SOURCES.items()
    },
}

_BRIEF = {
    "id": TEXT,
    "state": {"enum": list(STATUSES)},
    "created_at": _TIME,
    "ended_at": _nullable(_TIME),
}
JOB_ANSWERS: dict[str, Schema] = {
    "Job": json_object(
        {
            **_BRIEF,
            "source": TEXT,
            "top": ref("Top"),
            "tolerated_failure_percentage": _PERCENTAGE,
            "max_concurrency": COUNT,
            "function_version": {
                "type": "string",
                "description": "A job keeps it, so that a release changes no model.",
            },
            "redrives": COUNT,
            "progress": _nullable(ref("JobProgress")),
            "summary": _nullable(ref("JobSummary")),
            "results": ref("JobResults"),
            "model": {"type": "string", "description": "Its name; of a deployment with several models."},
            "error": ref("JobError"),
            "estimate": _nullable(ref("JobEstimate")),
        },
        optional=("model", "error", "estimate"),
    ),
    "JobBrief": json_object(_BRIEF),
    "JobProgress": json_object(
        {
            "processed": {**COUNT, "description": "Images of the batches that are done."},
            "running": COUNT,
            "pending": COUNT,
            "in_failed_batches": {**COUNT, "description": "Images of batches that ended without a result."},
            "total": {**COUNT, "description": "Images that the reader has handed out so far."},
            "approximate": {"type": "boolean", "description": "True until the job ends: counts move by whole batches."},
            "images_per_second": _nullable({"type": "number", "minimum": 0}),
            "expected_end": _nullable(_TIME),
        }
    ),
    "JobEstimate": json_object(
        {
            "images": COUNT,
            "exact": {
                "type": "boolean",
                "description": "False for an estimate by the manifest's size, and if only the first were counted.",
            },
            "batches": COUNT,
            "seconds": {"type": "number", "minimum": 0},
            "usd": _USD,
        }
    ),
    "JobResults": json_object(
        {
            "bucket": TEXT,
            "rows_prefix": {"type": "string", "description": "GET /v1/jobs/{id}/rows has links to the files below it."},
            "summary_url": _nullable(_URI),
            "failures_url": _nullable(_URI),
        }
    ),
    "JobError": json_object({"code": TEXT, "detail": {"type": "string", "description": "A sentence for people."}}),
    "JobSummary": json_object(
        {
            "id": TEXT,
            "status": {"enum": ["succeeded", "too_many_failed"]},
            "source": TEXT,
            "models": {"type": "array", "items": ref("ModelName")},
            "images": {**COUNT, "description": "Rows of the results: one for each row of the manifest."},
            "succeeded": COUNT,
            "failed": COUNT,
            "skipped": {**COUNT, "description": "Objects below the prefix that are not images; they have no row."},
            "failed_percentage": _PERCENTAGE,
            "tolerated_failure_percentage": _PERCENTAGE,
            "complete": {
                "type": "boolean",
                "description": "Whether every item of the source has its row or was skipped.",
            },
            "labels": {**_COUNTS, "description": "Images by label, the most frequent first."},
            "labels_omitted": {**COUNT, "description": "Labels that are left out: at most 10,000 fit, or 1 MiB."},
            "failures_by_code": {**_COUNTS, "description": "Failed images by the code of their problem."},
            "failures": json_object(
                {
                    "file": _nullable({"type": "string", "description": "Key of a manifest of the failed rows."}),
                    "complete": {"type": "boolean", "description": "Whether that file has all of them."},
                    "prefix": {"type": "string", "description": "Keys of the batches' own files of failed rows."},
                }
            ),
            "batches": COUNT,
            "started_at": _TIME,
            "ended_at": _TIME,
            "duration_seconds": {"type": "number", "minimum": 0},
            "images_per_second": _nullable({"type": "number", "minimum": 0}),
            "busy_seconds": {"type": "number", "minimum": 0, "description": "Of all execution environments together."},
            "usd": _USD,
        }
    ),
    "Jobs": json_object(
        {
            "jobs": {"type": "array", "items": ref("JobBrief"), "description": "The latest first."},
            "next": _nullable(
                {"type": "string", "description": "Send it as next. A page may be empty and have another behind it."}
            ),
        }
    ),
    "JobRows": json_object(
        {
            "files": {
                "type": "array",
                "items": json_object({"name": TEXT, "bytes": COUNT, "url": _URI}),
                "description": "JSON Lines, in the order of the manifest.",
            },
            "next": _nullable(TEXT),
        }
    ),
}
