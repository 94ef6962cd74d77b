"""Results and problems as the caller gets them: an HTTP response for API Gateway, or a plain object."""

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

# Answers are about one caller's picture: nothing on the way keeps them. The rest is what OWASP's REST security cheat
# sheet asks of an API whose answers a browser might be shown.
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


class Answer(NamedTuple):
    """Status, body and own headers of an HTTP response; `proxy` adds what all have."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = _NO_HEADERS


def result(prediction: Prediction, top: int | None, request_id: str) -> dict[str, Any]:
    """Return the result object of a classification."""
    return {**scores(prediction, top), "model": model(prediction.model), "request_id": request_id}


def scores(prediction: Prediction, top: int | None) -> dict[str, Any]:
    """Return the result object of one image, without the model."""
    given = {} if prediction.labels is None else {"labels": list(prediction.labels)}
    return {
        "label": prediction.label,
        "probability": round(prediction.probability, _DIGITS),
        **given,
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


def as_json(value: Any) -> Answer:
    """Return a JSON body that nobody may keep."""
    return Answer(200, compact(value))


def as_problem(problem: Problem, request_id: str) -> Answer:
    """Return an RFC 9457 body."""
    headers = {"Content-Type": PROBLEM_CONTENT_TYPE, **problem.headers}
    return Answer(problem.status, compact(problem.to_dict(request_id)), headers)


def cacheable(body: str, headers: Mapping[str, str], if_none_match: str) -> Answer:
    """Return a body that may be kept as ``headers`` say, or 304 if the caller has it already (RFC 9110, 13.1.2)."""
    import hashlib  # brings libcrypto, which only documents need

    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    headers = {**headers, "ETag": tag}
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    if tag in known or "*" in known:
        return Answer(304, "", {name: value for name, value in headers.items() if name != "Content-Type"})
    return Answer(200, body, headers)


def proxy(answer: Answer, method: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return a Lambda proxy response; to HEAD the same without its body."""
    content_type = {} if answer.status in (204, 304) else {"Content-Type": "application/json"}
    return {
        "statusCode": answer.status,
        "headers": {**_HEADERS, **content_type, **headers, **answer.headers},
        "body": "" if method == "HEAD" else answer.body,
        "isBase64Encoded": False,
    }
