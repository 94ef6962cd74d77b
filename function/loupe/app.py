"""Requests to answers: the routes, and the one way through for a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loupe import response
from loupe.envelope import HttpRequest, unwrap
from loupe.errors import InternalError, MethodNotAllowed, NotFound, Problem
from loupe.request import ClassifyRequest, from_http, from_payload
from loupe.telemetry import Observation, Telemetry

if TYPE_CHECKING:
    from loupe.classifier import Classifier
    from loupe.source import Sources

# Path -> (method, name). The deployed API and the OpenAPI document have the same routes; tests hold them equal.
ROUTES = {
    "/v1/classify": ("POST", "classify"),
    "/v1/health": ("GET", "health"),
    "/v1/models": ("GET", "models"),
}


class App:
    """Serves one classifier to every trigger."""

    def __init__(self, classifier: Classifier, sources: Sources, telemetry: Telemetry) -> None:
        self._classifier, self._sources, self._telemetry = classifier, sources, telemetry

    def http(self, event: Mapping[str, Any], request_id: str) -> dict[str, Any]:
        """Answer an API Gateway or function-URL event with a proxy response; never raises."""
        seen = Observation(request_id, "http")
        try:
            request = unwrap(event)
            seen.route = _route(request)
            if seen.route == "classify":
                body = self._classify(from_http(request, self._classifier.limits), seen)
            else:
                body = self._describe(seen.route)
            return response.http(200, body, request_id, {"Server-Timing": seen.stages.server_timing()})
        except Problem as problem:
            seen.problem = problem
        except Exception as error:
            seen.problem = _internal(error)
        finally:
            self._telemetry.report(seen)
        return response.http_problem(seen.problem, request_id, seen.stages.server_timing())

    def direct(self, payload: Any, request_id: str) -> dict[str, Any]:
        """Answer a direct invocation with the result object, or ``{"error": <problem>}``; never raises."""
        seen = Observation(request_id, "direct", "classify")
        try:
            return self._classify(from_payload(payload, self._classifier.limits), seen)
        except Problem as problem:
            seen.problem = problem
        except Exception as error:
            seen.problem = _internal(error)
        finally:
            self._telemetry.report(seen)
        return {"error": seen.problem.to_dict(request_id)}

    def _classify(self, request: ClassifyRequest, seen: Observation) -> dict[str, Any]:
        seen.source = request.source
        with seen.stages("source"):
            data = self._sources.read(request.source)
        seen.prediction = self._classifier.classify(data, seen.stages)
        return response.result(seen.prediction, request.top, self._classifier.card, seen.request_id)

    def _describe(self, route: str) -> dict[str, Any]:
        card = self._classifier.card
        if route == "models":
            return {"models": [response.describe(card)]}
        return {"status": "ok", "model": {"name": card.name, "version": card.version, "variant": card.variant}}


def _route(request: HttpRequest) -> str:
    known = ROUTES.get(request.path.rstrip("/") or "/")
    if known is None:
        raise NotFound(f"There are: {', '.join(f'{method} {path}' for path, (method, _) in ROUTES.items())}.")
    method, name = known
    if request.method != method:
        raise MethodNotAllowed(f"Send {method}, not {request.method[:10]}.", headers={"Allow": method})
    return name


def _internal(error: Exception) -> Problem:
    """Hide what went wrong from the caller; the cause goes to the log with its trace."""
    problem = InternalError("The request could not be served. Quote the request id when you report this.")
    problem.__cause__ = error
    return problem
