"""Actions of the routes of bulk jobs for one owner, independent of HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from loupe.bulk.keys import summary_key
from loupe.errors import JobConflict, JobNotFound, JobNotRedrivable
from loupe.jobs import view
from loupe.jobs.engine import unavailable
from loupe.jobs.estimate import estimate
from loupe.jobs.files import result_links
from loupe.jobs.ids import new_id
from loupe.jobs.source_size import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from loupe.jobs.engine import Engine
    from loupe.jobs.request import JobRequest
    from loupe.jobs.settings import JobsSettings
    from loupe.jobs.storage import ResultsBucket, Storage

Shown = dict[str, Any]
# Nothing is started later in a request: API Gateway answers 504 after 29 s, and two attempts of StartExecution take up
# to 12 s (`loupe.jobs.engine.CLIENT_CONFIG`). A client that gets no id would start the job again.
START_DEADLINE_SECONDS = 15
_NEW_JOB = "Start a new job; if images failed, with its failures.jsonl as the manifest."
# State of a job -> why it is not redriven, and what to do instead.
_NOT_REDRIVABLE = {
    "running": "The job is running. Wait for its end, or stop it first.",
    "succeeded": f"The job succeeded, and nothing of it can be repeated. {_NEW_JOB}",
}


class JobActions:
    """Starts, shows, stops and redrives jobs.

    Parameters
    ----------
    engine, sources, results
        Step Functions, the S3 that images are read from, and the results bucket.
    now
        The time, in UTC.
    """

    def __init__(
        self,
        settings: JobsSettings,
        engine: Engine,
        sources: Storage,
        results: ResultsBucket,
        now: Callable[[], datetime],
    ) -> None:
        self._settings, self._engine, self._sources, self._results, self._now = settings, engine, sources, results, now

    def start(self, owner: str, request: JobRequest, idempotency_key: str | None) -> Shown:
        """Start a job, or return the one that the same key and request started before.

        Raises
        ------
        loupe.errors.JobConflict
            If the key belongs to a job with another request.
        loupe.errors.RequestInvalid, loupe.errors.ManifestInvalid, loupe.errors.JobsUnavailable
        """
        requested_at = self._now()
        job_id = new_id(owner, idempotency_key)
        if idempotency_key is not None:
            # Before the source is read: the manifest of a job that has ended may be gone.
            try:
                return self._same(self._engine.describe(job_id), request)
            except JobNotFound:
                pass
        size = measure(request.source, self._sources)
        concurrency = request.max_concurrency or self._settings.max_concurrency
        job = {
            "id": job_id,
            "owner": owner,
            "source": request.source.to_dict(),
            "top": request.top,
            "tolerated_failure_percentage": request.tolerated_failure_percentage,
            "max_concurrency": concurrency,
            # A version: a release does not change the model of a job that runs.
            "function": self._engine.live_version(self._settings.function_arn),
            "results": {"bucket": self._settings.results_bucket, "prefix": f"jobs/{job_id}/"},
            "idempotency": request.digest,
        }
        if self._settings.models:
            # By name, also the default: another release may have another one.
            job["model"] = request.model or self._settings.models[0]
        if (self._now() - requested_at).total_seconds() > START_DEADLINE_SECONDS:
            raise unavailable()
        if not self._engine.start(job_id, job):
            try:
                return self._same(self._engine.describe(job_id), request)
            except JobNotFound:
                # The name is taken, but a description is eventually consistent.
                raise unavailable() from None
        started = {"name": job_id, "status": "RUNNING", "startDate": self._now(), "input": json.dumps({"job": job})}
        expected = estimate(size, self._settings.rates, batch_items=self._settings.batch_items, concurrency=concurrency)
        return {**self._shown(started), "estimate": expected}

    def get(self, job_id: str) -> Shown:
        """Return a job with its progress, summary and links to results."""
        execution = self._engine.describe(job_id)
        return self._shown(execution, self._engine.map_run(job_id))

    def stop(self, job_id: str) -> Shown:
        """Stop a job and return it; a job that has ended is not changed."""
        execution = self._engine.describe(job_id)
        if view.state_of(execution) != "running":
            return self._shown(execution)
        self._engine.stop(job_id)
        # A description is eventually consistent: it may still say that the execution is running.
        return self._shown({**execution, "status": "ABORTED", "stopDate": self._now()})

    def redrive(self, job_id: str) -> Shown:
        """Repeat what did not succeed in a job that failed, was stopped or timed out.

        Raises
        ------
        loupe.errors.JobNotRedrivable
            For a job in another state, and for one that has processed every image; says what to do instead.
        """
        execution = self._engine.describe(job_id)
        if reason := _NOT_REDRIVABLE.get(view.state_of(execution)):
            raise JobNotRedrivable(reason)
        if execution.get("error") == view.TOO_MANY_FAILED:
            raise JobNotRedrivable(f"The job has processed every image, and too many of them failed. {_NEW_JOB}")
        self._engine.redrive(job_id)
        redrives = int(execution.get("redriveCount", 0)) + 1
        return self._shown({**execution, "status": "RUNNING", "stopDate": None, "redriveCount": redrives})

    def _same(self, execution: Mapping[str, Any], request: JobRequest) -> Shown:
        if view.job_input(execution).get("idempotency") != request.digest:
            raise JobConflict("This Idempotency-Key started a job with another request. Use a new key.")
        return {**self._shown(execution), "estimate": None}

    def _shown(self, execution: Mapping[str, Any], map_run: Mapping[str, Any] | None = None) -> Shown:
        job_id = execution["name"]
        ended = view.state_of(execution) in ("succeeded", "failed")
        summary = self._results.read_json(summary_key(job_id)) if ended else None
        links = result_links(self._results, job_id, summary)
        return {**view.full(execution, map_run, summary, self._now()), "results": links}
