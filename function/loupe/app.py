"""Requests to answers: what each route does, and the one way through for a picture."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from loupe import cors, response
from loupe.envelope import HttpRequest, unwrap
from loupe.errors import InternalError, Problem, ResultTooLarge
from loupe.request import (
    ClassifyRequest,
    Inline,
    batch_from_http,
    batch_from_payload,
    expect_nothing,
    from_http,
    from_payload,
)
from loupe.routes import find, methods
from loupe.telemetry import Observation, Telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loupe.classifier import Classifier
    from loupe.locations import S3Rules
    from loupe.request import BatchRequest
    from loupe.source import Sources

# What is left of a request's time for the answer itself; and the most that a gateway waits (REST API: 29 s), less that.
_MARGIN_SECONDS = 1.0
_GATEWAY_SECONDS = 28.0
# A Lambda function answers with at most 6 MiB (AWS Lambda quotas); the rest is for the envelope and its escapes.
_MAX_RESULTS_BYTES = 4_500_000


class Context(Protocol):
    """What Lambda tells about an invocation."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""


class App:
    """Serves one classifier to every trigger."""

    def __init__(
        self,
        classifier: Classifier,
        sources: Sources,
        telemetry: Telemetry,
        *,
        s3_rules: S3Rules,
        max_batch: int = 32,
        cors_origins: Sequence[str] = (),
        restart_seconds: float = 0.0,
    ) -> None:
        self._classifier, self._sources, self._telemetry = classifier, sources, telemetry
        self._s3_rules, self._max_batch, self._cors_origins = s3_rules, max_batch, cors_origins
        # A batch that leaves a decoder at work is followed by a restart, which is part of the invocation's time.
        self._restart_seconds = restart_seconds

    def http(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Answer an API Gateway or function-URL event with a proxy response; never raises."""
        seen = Observation(context.aws_request_id, "http")
        request = unwrap(event)
        headers = cors.headers(self._cors_origins, request)
        try:
            route = find(request.method, request.path)
            if request.method == "OPTIONS":
                headers = cors.headers(self._cors_origins, request, methods(route))
                answer = response.Answer(204, headers={"Allow": ", ".join(methods(route))})
            else:
                seen.route = route.name
                answer = self._answer(request, context, seen)
        except Problem as problem:
            seen.problem = problem
        except Exception as error:
            seen.problem = InternalError.hiding(error)
        if seen.problem is not None:
            answer = response.as_problem(seen.problem, seen.request_id)
        self._telemetry.report(seen)
        timing = {"X-Request-Id": seen.request_id, "Server-Timing": seen.stages.server_timing()}
        return response.proxy(answer, request.method, headers | timing)

    def direct(self, payload: Any, context: Context) -> dict[str, Any]:
        """Answer a direct invocation with the result object, or ``{"error": <problem>}``; never raises."""
        batch = isinstance(payload, dict) and "items" in payload
        seen = Observation(context.aws_request_id, "direct", "batch" if batch else "classify")
        limits = self._classifier.limits
        try:
            if batch:
                asked = batch_from_payload(payload, limits, self._max_batch)
                return self._classify_batch(asked, self._deadline(context.get_remaining_time_in_millis() / 1e3), seen)
            with seen.stages("source"):
                request = from_payload(payload, limits)
            return self._classify(request, seen)
        except Problem as problem:
            seen.problem = problem
        except Exception as error:
            seen.problem = InternalError.hiding(error)
        finally:
            self._telemetry.report(seen)
        return {"error": seen.problem.to_dict(seen.request_id)}

    def _answer(self, request: HttpRequest, context: Context, seen: Observation) -> response.Answer:
        limits = self._classifier.limits
        if seen.route == "classify":
            with seen.stages("source"):
                asked = from_http(request, limits)
            return response.as_json(self._classify(asked, seen))
        if seen.route == "batch":
            batch = batch_from_http(request, limits, self._max_batch)
            deadline = self._deadline(min(context.get_remaining_time_in_millis() / 1e3, _GATEWAY_SECONDS))
            return response.as_json(self._classify_batch(batch, deadline, seen))
        if seen.route == "uploads":
            from loupe.uploads import presign

            expect_nothing(request)
            return response.as_json(presign(self._s3_rules, limits.max_bytes))
        return self._document(request, seen.route)

    def _document(self, request: HttpRequest, route: str) -> response.Answer:
        card = self._classifier.card
        known = request.headers.get("if-none-match", "")
        if route == "health":
            return response.as_json({"status": "ok", "model": response.model(card)})
        if route == "models":
            # It may stand behind an API key, so it is asked for anew each time, at the price of a 304.
            body = response.compact({"models": [response.describe(card)], "limits": self._limits()})
            return response.cacheable(body, {"Cache-Control": "private, no-cache"}, known)
        if route == "openapi":
            from loupe.contract import document

            return response.cacheable(response.compact(document()), {"Cache-Control": "public, max-age=300"}, known)
        from loupe.webpage import Facts, load

        html, headers = load(Facts.of(card, self._limits()), self._s3_rules.upload_origins)
        return response.cacheable(html, headers, known)

    def _classify(self, request: ClassifyRequest, seen: Observation) -> dict[str, Any]:
        seen.source = request.source
        if isinstance(request.source, Inline):
            data = request.source.data
        else:
            with seen.stages("source"):
                data = self._sources.read(request.source, hosts=seen.hosts)
        seen.prediction = self._classifier.classify(data, seen.stages)
        return response.result(seen.prediction, request.top, self._classifier.card, seen.request_id)

    def _classify_batch(self, request: BatchRequest, deadline: float, seen: Observation) -> dict[str, Any]:
        from loupe.batch import Batch

        batch = Batch(self._classifier, self._sources, seen.stages, deadline, seen.hosts, request.top)
        seen.items = batch.run(request.items)
        if batch.left_running:
            from loupe import restart

            seen.left_running = batch.left_running
            restart.after_response()
        results, size = [], 0
        for index, outcome in enumerate(seen.items):
            if not isinstance(outcome, Problem):
                result = response.scores(outcome, request.top)
                size += len(response.compact(result))
                if size <= _MAX_RESULTS_BYTES:
                    results.append({"index": index, "result": result})
                    continue
                outcome = ResultTooLarge("The batch's answer has become too large. Ask for fewer scores with top.")
                seen.items[index] = outcome
            results.append({"index": index, "error": outcome.to_dict(seen.request_id)})
        return {"results": results, "model": response.model(self._classifier.card), "request_id": seen.request_id}

    def _deadline(self, seconds: float) -> float:
        """When a batch's work must end, in monotonic seconds, if the invocation has ``seconds`` more."""
        return time.monotonic() + seconds - _MARGIN_SECONDS - min(self._restart_seconds, seconds / 4)

    def _limits(self) -> dict[str, Any]:
        limits = self._classifier.limits
        return {
            "max_image_bytes": limits.max_bytes,
            "max_image_pixels": limits.max_pixels,
            "formats": list(limits.formats),
            "max_batch": self._max_batch,
            "uploads": bool(self._s3_rules.upload_bucket),
        }
