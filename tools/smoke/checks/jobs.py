"""Checks of the routes of bulk jobs, where the deployment has them. They start a job only if a manifest is named."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from tools.smoke.checks.predictions import expect_result
from tools.smoke.checks.problem import expect_problem
from tools.smoke.credentials import Anonymous
from tools.smoke.endpoint import CheckError, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.smoke.suite import Run

# A cold start of both functions, and a few images.
JOB_SECONDS = 180.0
POLL_SECONDS = 2.0
# Nobody owns this bucket: no location of a deployment can name it.
_FOREIGN = "s3://loupe-smoke-test.invalid/images.jsonl"
_ACCEPTED = 202
_NO_MODEL = "loupe-smoke-test-no-model"


def listed(run: Run) -> str:
    """The caller's jobs are listed."""
    _deployed(run)
    page = expect_result(run.endpoint.get("v1/jobs?limit=1"))
    if not isinstance(page["jobs"], list) or "next" not in page:
        raise CheckError("the list has no jobs and next")
    return f"{len(page['jobs'])} on a page of one"


def unknown(run: Run) -> str:
    """A job that is not the caller's is answered like one that does not exist."""
    _deployed(run)
    path = f"v1/jobs/{uuid.uuid4().hex}"
    details = {
        expect_problem(run.endpoint.send(method, f"{path}{suffix}"), (404,), ("job_not_found",))
        for method, suffix in (("GET", ""), ("GET", "/rows"), ("DELETE", ""), ("POST", "/redrive"))
    }
    return ", ".join(details)


def rejected(run: Run) -> str:
    """A manifest outside the allowed locations, and a request that names none."""
    _deployed(run)
    outside = run.endpoint.post_json("v1/jobs", {"manifest": _FOREIGN})
    nothing = run.endpoint.post_json("v1/jobs", {})
    return ", ".join(
        (
            expect_problem(outside, (400, 403, 422), ("s3_not_allowed", "manifest_invalid")),
            expect_problem(nothing, (400,), ("request_invalid",)),
        )
    )


def completed(run: Run) -> str:
    """A job over the named manifest ends with a row for each of its images."""
    _deployed(run)
    manifest = run.options.job_manifest
    if manifest is None:
        raise NotApplicableError("not asked for: --job-manifest s3://... classifies its images")
    return f"{_completed(run, 'v1/jobs', manifest)['images']} images"


def of_models(run: Run) -> str:
    """Jobs of further models: their route takes a job, and those over the named manifest are done by that model."""
    _deployed(run)
    others = [str(model["name"]) for model in expect_result(run.endpoint.get("v1/models"))["models"][1:]]
    if not others:
        raise NotApplicableError("the endpoint serves one model")
    expect_problem(run.endpoint.post_json(f"v1/models/{_NO_MODEL}/jobs", {}), (404,), ("not_found",))
    for name in others:
        path = f"v1/models/{name}/jobs"
        expect_problem(run.endpoint.post_json(path, {}), (400,), ("request_invalid",))
        if run.options.job_manifest is not None:
            models = [model["name"] for model in _completed(run, path, run.options.job_manifest)["models"]]
            if models != [name]:
                raise CheckError(f"a job of {path} was done by {', '.join(models)}")
    return ", ".join(others)


def _completed(run: Run, path: str, manifest: str) -> Mapping[str, Any]:
    """Run a job over a manifest to its end; return its summary."""
    reply = run.endpoint.post_json(path, {"manifest": manifest, "tolerated_failure_percentage": 0})
    if reply.status != _ACCEPTED:
        raise CheckError(f"HTTP {reply.status} instead of 202: {reply.excerpt}")
    job_id = str(reply.json["id"])
    job = _ended(run, job_id)
    if job["state"] != "succeeded":
        raise CheckError(f"the job {job_id} is {job['state']}: {job.get('error')}")
    summary: Mapping[str, Any] = job["summary"]
    if summary["images"] == 0 or summary["succeeded"] != summary["images"]:
        raise CheckError(f"{summary['succeeded']} of {summary['images']} images were classified")
    if not expect_result(run.endpoint.get(f"v1/jobs/{job_id}/rows")):
        raise CheckError("the job has no links to its rows")
    return summary


def _ended(run: Run, job_id: str) -> Mapping[str, Any]:
    deadline = time.monotonic() + JOB_SECONDS
    while True:
        job = expect_result(run.endpoint.get(f"v1/jobs/{job_id}"))
        if job["state"] != "running":
            return job
        if time.monotonic() >= deadline:
            run.endpoint.send("DELETE", f"v1/jobs/{job_id}")
            raise CheckError(f"the job {job_id} ran for {JOB_SECONDS:.0f} s; it was stopped")
        time.sleep(POLL_SECONDS)


def _deployed(run: Run) -> None:
    document = expect_result(run.endpoint.get("openapi.json", credentials=Anonymous()))
    if "/v1/jobs" not in document["paths"]:
        raise NotApplicableError("the deployment has no bulk jobs")
