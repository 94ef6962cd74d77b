"""HTTP requests and direct invocations to responses: what each route does."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from loupe.errors import InternalError, Problem, RequestInvalid
from loupe.http import cors, response
from loupe.http.envelope import HttpRequest, unwrap
from loupe.http.request import (
    ClassifyRequest,
    batch_from_http,
    batch_from_payload,
    expect_nothing,
    from_http,
    from_payload,
)
from loupe.http.routes import find, methods, model_of
from loupe.sources.inline import Inline
from loupe.telemetry import Observation, Telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loupe.http.assignment import Assigner
    from loupe.http.request import BatchRequest
    from loupe.lambda_context import Context
    from loupe.models import Models
    from loupe.service import ClassificationService, Image
    from loupe.sources import Source, Sources
    from loupe.sources.s3 import S3Rules

# Reserved for writing the response; and the longest wait of a gateway (REST API: 29 s), less that.
_MARGIN_SECONDS = 1.0
_GATEWAY_SECONDS = 28.0


class App:
    """Serves a `loupe.service.Service` over HTTP and by direct invocation.

    Parameters
    ----------
    service
        Answers requests that name no model.
    models
        Of a deployment with several models: answers requests that name one.
    assigner
        Of a deployment with an experiment: chooses the model of HTTP requests that name none. Direct invocations get
        ``service``.
    """

    def __init__(
        self,
        service: ClassificationService,
        sources: Sources,
        telemetry: Telemetry,
        *,
        s3_rules: S3Rules,
        max_batch: int = 32,
        cors_origins: Sequence[str] = (),
        restart_seconds: float = 0.0,
        jobs: bool = False,
        models: Models | None = None,
        assigner: Assigner | None = None,
    ) -> None:
        self._service, self._sources, self._telemetry = service, sources, telemetry
        self._s3_rules, self._max_batch, self._cors_origins = s3_rules, max_batch, cors_origins
        # Other functions of the deployment serve the routes of bulk jobs; the document lists them.
        self._jobs = jobs
        self._models, self._assigner = models, assigner
        # A batch that leaves a decoder running is followed by a restart, which is part of the invocation's time.
        self._restart_seconds = restart_seconds

    def http(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Answer an API Gateway or function-URL event with a proxy response; never raises."""
        observation = Observation(context.aws_request_id, "http", self._service.model)
        request = unwrap(event)
        headers = cors.headers(self._cors_origins, request)
        try:
            route = find(request.method, request.path, models=self._models is not None)
            if request.method == "OPTIONS":
                of_experiment = () if self._assigner is None else self._assigner.request_headers
                headers = cors.headers(self._cors_origins, request, methods(route), of_experiment)
                reply = response.Response(204, headers={"Allow": ", ".join(methods(route))})
            else:
                observation.route = route.name.removeprefix("model_")
                service: ClassificationService | None = self._service
                if self._models is not None and route.name != observation.route:
                    service = self._service_of(model_of(request.path), observation)
                elif self._assigner is not None and route.name in ("classify", "batch"):
                    service = self._assigner.service_for(request, event["requestContext"], observation)
                reply = self._respond(request, context, observation, service)
        except Problem as problem:
            observation.problem = problem
        except Exception as error:
            observation.problem = InternalError.from_exception(error)
        if observation.problem is not None:
            reply = response.as_problem(observation.problem, observation.request_id)
        self._telemetry.report(observation)
        if observation.assignment is not None:
            headers |= {"X-Experiment": observation.assignment.text}
        timing = {"X-Request-Id": observation.request_id, "Server-Timing": observation.stages.server_timing()}
        return response.proxy(reply, request.method, headers | timing)

    def direct(self, payload: Any, context: Context) -> dict[str, Any]:
        """Answer a direct invocation with the result object, or ``{"error": <problem>}``; never raises.

        With ``"identify": true`` a result of one image also names its execution environment.
        """
        identify = isinstance(payload, dict) and payload.get("identify") is True
        if identify:
            payload = {key: value for key, value in payload.items() if key != "identify"}
        batch = isinstance(payload, dict) and "items" in payload
        route = "batch" if batch else "classify"
        observation = Observation(context.aws_request_id, "direct", self._service.model, route)
        limits, service = self._service.limits, self._service
        try:
            if self._models is not None and isinstance(payload, dict) and "model" in payload:
                service = self._service_of(payload["model"], observation)
                payload = {key: value for key, value in payload.items() if key != "model"}
            if batch:
                items = batch_from_payload(payload, limits, self._max_batch)
                deadline = self._deadline(context.get_remaining_time_in_millis() / 1e3)
                return self._classify_batch(items, deadline, observation, service)
            with observation.stages("source"):
                request = from_payload(payload, limits)
            reply = self._classify(request, observation, service)
            return {**reply, "environment": _environment_id()} if identify else reply
        except Problem as problem:
            observation.problem = problem
        except Exception as error:
            observation.problem = InternalError.from_exception(error)
        finally:
            self._telemetry.report(observation)
        return {"error": observation.problem.to_dict(observation.request_id)}

    def _service_of(self, name: Any, observation: Observation) -> ClassificationService:
        """Return the service of the model that a request names; its first request loads it, as stage ``load``."""
        if self._models is None or not isinstance(name, str):
            raise RequestInvalid("model must be the name of a model, as text.")
        with observation.stages("load"):
            service = self._models.service(name)
        observation.service_model = service.model
        return service

    def _respond(
        self, request: HttpRequest, context: Context, observation: Observation, service: ClassificationService | None
    ) -> response.Response:
        limits = self._service.limits
        if observation.route == "classify":
            with observation.stages("source"):
                classify_request = from_http(request, limits)
            result = self._classify(classify_request, observation, service)
            return response.as_json(result, {"X-Cache": observation.cache})
        if observation.route == "batch":
            batch = batch_from_http(request, limits, self._max_batch)
            deadline = self._deadline(min(context.get_remaining_time_in_millis() / 1e3, _GATEWAY_SECONDS))
            body = self._classify_batch(batch, deadline, observation, service or self._service)
            return response.as_json(body, {"X-Cache": observation.cache})
        if observation.route == "uploads":
            from loupe.sources.uploads import presign

            expect_nothing(request)
            return response.as_json(presign(self._s3_rules, limits.max_bytes))
        return self._document(request, observation.route)

    def _document(self, request: HttpRequest, route: str) -> response.Response:
        card = self._service.card
        if_none_match = request.headers.get("if-none-match", "")
        if route == "health":
            return response.as_json({"status": "ok", "model": response.model(self._service.model)})
        if route == "models":
            # It may be behind an API key, so caches revalidate it with each request, at the price of a 304.
            cards = [card] if self._models is None else self._models.cards()
            body = response.compact({"models": [response.describe(item) for item in cards], "limits": self._limits()})
            return response.cacheable(body, {"Cache-Control": "private, no-cache"}, if_none_match)
        if route == "openapi":
            from loupe.http.documents import openapi

            body = openapi(jobs=self._jobs, models=self._models is not None)
            return response.cacheable(body, {"Cache-Control": "public, max-age=300"}, if_none_match)
        from loupe.http.webpage import Facts, load

        html, headers = load(Facts.of(card, self._limits()), self._s3_rules.upload_origins)
        return response.cacheable(html, headers, if_none_match)

    def _classify(
        self, request: ClassifyRequest, observation: Observation, service: ClassificationService | None
    ) -> dict[str, Any]:
        """Classify one image; without a service, the content of the image chooses the arm of the experiment."""
        observation.source = request.source
        image = self._image(request.source, observation)
        if service is None and self._assigner is not None:
            if not isinstance(image, bytes):
                with observation.stages("source"):
                    image = self._sources.read(request.source, hosts=observation.hosts)
            service = self._assigner.service_by_image(image, observation)
        observation.prediction = (service or self._service).classify(image, stages=observation.stages)
        return response.result(observation.prediction, request.top, observation.request_id)

    def _classify_batch(
        self, request: BatchRequest, deadline: float, observation: Observation, service: ClassificationService
    ) -> dict[str, Any]:
        from loupe.http.batch_response import ScoreBudget, batch_body

        items = [item if isinstance(item, Problem) else self._image(item, observation) for item in request.items]
        observation.items, observation.unfinished_decoders = service.classify_many(
            items, deadline=deadline, stages=observation.stages, keep=ScoreBudget(request.top)
        )
        if observation.unfinished_decoders:
            from loupe import restart

            restart.after_response()
        return batch_body(observation.items, request.top, observation.model, observation.request_id)

    def _image(self, source: Source, observation: Observation) -> Image:
        if isinstance(source, Inline):
            return source.data
        return partial(self._sources.read, source, hosts=observation.hosts)

    def _deadline(self, seconds: float) -> float:
        """Return when a batch must end, in monotonic seconds, if the invocation has ``seconds`` left."""
        return time.monotonic() + seconds - _MARGIN_SECONDS - min(self._restart_seconds, seconds / 4)

    def _limits(self) -> dict[str, Any]:
        limits = self._service.limits
        return {
            "max_image_bytes": limits.max_bytes,
            "max_image_pixels": limits.max_pixels,
            "formats": list(limits.formats),
            "max_batch": self._max_batch,
            "uploads": bool(self._s3_rules.upload_bucket),
        }


def _environment_id() -> str:
    from loupe.identity import environment_id

    return environment_id()
