"""HTTP for bulk jobs: an API Gateway event to a call of `JobActions`, and its result or problem to a response."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from loupe.errors import InternalError, Problem, RequestInvalid
from loupe.http import cors, response
from loupe.http.envelope import unwrap
from loupe.jobs.files import row_files
from loupe.jobs.ids import owned_id
from loupe.jobs.listing import list_jobs, read_list_request, single_values
from loupe.jobs.log import log_request
from loupe.jobs.owners import owner_of
from loupe.jobs.request import JobRules, job_from_http
from loupe.jobs.routes import find_job_route, job_methods

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.http.envelope import HttpRequest
    from loupe.jobs.actions import JobActions
    from loupe.jobs.engine import Engine
    from loupe.jobs.settings import JobsSettings
    from loupe.jobs.storage import ResultsBucket
    from loupe.lambda_context import Context


class JobsApi:
    """Serves the routes of `loupe.jobs.routes`."""

    def __init__(self, settings: JobsSettings, engine: Engine, actions: JobActions, results: ResultsBucket) -> None:
        self._settings, self._engine, self._actions, self._results = settings, engine, actions, results

    def http(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Answer an API Gateway event with a proxy response; never raises."""
        started = time.perf_counter()
        request = unwrap(event)
        headers = cors.headers(self._settings.cors_origins, request)
        route, problem = "", None
        try:
            several = bool(self._settings.models)
            route, path, named = find_job_route(request.method, request.path, models=several)
            if route == "options":
                methods = job_methods(path)
                headers = cors.headers(self._settings.cors_origins, request, methods)
                reply = response.Response(204, headers={"Allow": ", ".join(methods)})
            else:
                reply = self._respond(route, named, request, owner_of(event, self._settings.auth_mode))
        except Problem as error:
            problem = error
        except Exception as error:
            problem = InternalError.from_exception(error)
        if problem is not None:
            reply = response.as_problem(problem, context.aws_request_id)
        milliseconds = (time.perf_counter() - started) * 1e3
        log_request(self._settings.environment, context.aws_request_id, route, reply.status, milliseconds, problem)
        if "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", ""):
            from loupe import tracing

            code = "ok" if problem is None else problem.code
            tracing.record(route or "request", milliseconds, {"route": route, "code": code}, status=reply.status)
        timing = {"X-Request-Id": context.aws_request_id, "Server-Timing": f"total;dur={milliseconds:.2f}"}
        return response.proxy(reply, request.method, headers | timing)

    def _respond(self, route: str, named: str, request: HttpRequest, owner: str) -> response.Response:
        # Relative to the request's address (RFC 9110, 10.2.2), whose stage or base path is not known here.
        if route == "startJob":
            return self._started(request, owner, None, "jobs/")
        if route == "startModelJob":
            return self._started(request, owner, self._named_model(named), "../../jobs/")
        if route == "listJobs":
            return _json(list_jobs(self._engine, owner, read_list_request(request.query)))
        job_id = owned_id(owner, named)
        if route == "listJobRows":
            return _json(row_files(self._results, job_id, request.query))
        single_values(request.query, ())
        _expect_no_body(request)
        if route == "getJob":
            return _json(self._actions.get(job_id))
        if route == "stopJob":
            return _json(self._actions.stop(job_id))
        return _json(self._actions.redrive(job_id), 202)

    def _started(self, request: HttpRequest, owner: str, model: str | None, location: str) -> response.Response:
        settings = self._settings
        rules = JobRules(settings.s3, settings.results_bucket, owner, settings.max_concurrency)
        job_request = job_from_http(request, rules, model)
        job = self._actions.start(owner, job_request, request.headers.get("idempotency-key"))
        return _json(job, 202, {"Location": f"{location}{job['id']}"})

    def _named_model(self, name: str) -> str | None:
        """Return the model that a path names; None for the default."""
        models = self._settings.models
        if name not in models:
            from loupe.models import no_such_model

            raise no_such_model(models)
        return None if name == models[0] else name


def _json(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> response.Response:
    return response.Response(status, response.compact(value), headers or {})


def _expect_no_body(request: HttpRequest) -> None:
    if len(request.text) > 1024 or request.body.strip() not in (b"", b"{}"):
        raise RequestInvalid("This call takes no body.")
