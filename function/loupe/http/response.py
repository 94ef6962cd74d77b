"""Results and problems as responses: an HTTP response for API Gateway, or a plain object."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.errors import PROBLEM_CONTENT_TYPE
from loupe.prediction import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.card import Card
    from loupe.errors import Problem
    from loupe.prediction import Prediction

# A response is about one client's image, so no cache stores it. The other headers are those of OWASP's REST security
# cheat sheet for an API whose responses may be opened in a browser.
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000",
}
_DIGITS = 6
_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Response(NamedTuple):
    """Status, body and headers of an HTTP response; `proxy` adds the headers that all have."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = _NO_HEADERS


def result(prediction: Prediction, top: int | None, request_id: str) -> dict[str, Any]:
    """Return the result object of a classification."""
    return {**scores(prediction, top), "model": model(prediction.model), "request_id": request_id}


def scores(prediction: Prediction, top: int | None) -> dict[str, Any]:
    """Return the result object of one image, without the model."""
    assigned = {} if prediction.labels is None else {"labels": list(prediction.labels)}
    return {
        "label": prediction.label,
        "probability": round(prediction.probability, _DIGITS),
        **assigned,
        "scores": {label: round(score, _DIGITS) for label, score in prediction.top(top).items()},
    }


def model(info: ModelInfo) -> dict[str, str]:
    """Return the name, version and variant of the model that answered."""
    return {"name": info.name, "version": info.version, "variant": info.variant}


def describe(card: Card) -> dict[str, Any]:
    """Return the entry of a model in ``GET /v1/models``."""
    return {
        **model(ModelInfo.of(card)),
        "description": card.description,
        "labels": list(card.output.labels),
        "input": {"width": card.input.width, "height": card.input.height, "color": card.input.color},
        "evaluation": card.raw.get("evaluation", {}),
        "license": card.raw.get("license", {}),
    }


def compact(value: Any) -> str:
    """Return JSON without white space."""
    return _ENCODE(value)


def as_json(value: Any, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
    """Return a JSON response that is not cached."""
    return Response(200, compact(value), headers)


def as_problem(problem: Problem, request_id: str) -> Response:
    """Return an RFC 9457 response."""
    headers = {"Content-Type": PROBLEM_CONTENT_TYPE, **problem.headers}
    return Response(problem.status, compact(problem.to_dict(request_id)), headers)


def cacheable(body: str, headers: Mapping[str, str], if_none_match: str) -> Response:
    """Return a response that may be cached by its ``headers``, or 304 if the client has it (RFC 9110, 13.1.2)."""
    import hashlib  # loads libcrypto, which only documents need

    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    headers = {**headers, "ETag": tag}
    client_tags = {item.strip().removeprefix("W/") for item in if_none_match.split(",")}
    if tag in client_tags or "*" in client_tags:
        return Response(304, "", {name: value for name, value in headers.items() if name != "Content-Type"})
    return Response(200, body, headers)


def proxy(reply: Response, method: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return a Lambda proxy response; without the body for HEAD."""
    content_type = {} if reply.status in (204, 304) else {"Content-Type": "application/json"}
    return {
        "statusCode": reply.status,
        "headers": {**_HEADERS, **content_type, **headers, **reply.headers},
        "body": "" if method == "HEAD" else reply.body,
        "isBase64Encoded": False,
    }
