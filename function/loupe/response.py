"""Results and problems as the caller gets them: an HTTP response for API Gateway, or a plain object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loupe.errors import PROBLEM_CONTENT_TYPE

if TYPE_CHECKING:
    from loupe.card import Card
    from loupe.errors import Problem
    from loupe.prediction import Prediction

# Answers are about one caller's picture: nothing on the way keeps them.
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_DIGITS = 6


def result(prediction: Prediction, top: int | None, card: Card, request_id: str) -> dict[str, Any]:
    """Return the result object of a classification."""
    return {
        "label": prediction.label,
        "probability": round(prediction.probability, _DIGITS),
        "scores": {label: round(score, _DIGITS) for label, score in prediction.top(top).items()},
        "model": {"name": card.name, "version": card.version, "variant": card.variant},
        "request_id": request_id,
    }


def describe(card: Card) -> dict[str, Any]:
    """Return what ``GET /v1/models`` tells of a model."""
    return {
        "name": card.name,
        "version": card.version,
        "variant": card.variant,
        "description": card.description,
        "labels": list(card.output.labels),
        "input": {"width": card.input.width, "height": card.input.height, "color": card.input.color},
        "evaluation": card.raw.get("evaluation", {}),
        "license": card.raw.get("license", {}),
    }


def http(status: int, body: Any, request_id: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a Lambda proxy response with a JSON body."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "X-Request-Id": request_id, **_HEADERS, **(headers or {})},
        "body": json.dumps(body, separators=(",", ":")),
        "isBase64Encoded": False,
    }


def http_problem(problem: Problem, request_id: str, server_timing: str) -> dict[str, Any]:
    """Return a problem as a Lambda proxy response."""
    headers = {"Content-Type": PROBLEM_CONTENT_TYPE, "Server-Timing": server_timing, **problem.headers}
    return http(problem.status, problem.to_dict(request_id), request_id, headers)
