"""Parts that the operations of the contract share: headers, JSON content with examples, responses with problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loupe.errors import InternalError

from tools.contract.problems import GATEWAY_PROBLEMS

if TYPE_CHECKING:
    from loupe.errors import Problem

Operation = dict[str, Any]

# No operation names not_found and method_not_allowed: they are returned only for a path or method that the document
# does not have. The REST API returns its own 404 for both; 405 comes from a function URL or an HTTP API.
HEADERS = {
    "X-Request-Id": {"description": "Also in the log.", "schema": {"type": "string"}},
    "Server-Timing": {
        "description": "Where the time went (W3C Server-Timing): weights and load (of an endpoint with an "
        "experiment or several models), source, cache (if it has one), decode, tensor, model and total, in ms.",
        "schema": {"type": "string"},
    },
}


def _examples(**values: Any) -> dict[str, Any]:
    return {name: {"value": value} for name, value in values.items()}


def json_content(schema: str, **examples: Any) -> dict[str, Any]:
    """Return JSON content of a named schema, with an example for each keyword."""
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"application/json": {**content, "examples": _examples(**examples)}}


def response(content: dict[str, Any], description: str, **headers: str) -> dict[str, Any]:
    """Return a successful response; ``headers`` are further ones, by what they mean."""
    more = {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
    return {"description": description, "headers": HEADERS | more, "content": content}


def responses(
    success: dict[str, Any],
    problems: tuple[type[Problem], ...],
    *,
    keyed: bool,
    cached: bool = False,
    status: int = 200,
) -> dict[str, Any]:
    """Return the responses of an operation: its success, and its problems with those of the gateway by status."""
    by_status: dict[int, set[str]] = {}
    kinds: tuple[type[Problem], ...] = (*problems, InternalError)
    for kind in kinds:
        by_status.setdefault(kind.status, set()).add(kind.code)
    for problem in GATEWAY_PROBLEMS:
        if keyed or problem.status >= 429:
            by_status.setdefault(problem.status, set()).add(problem.code)
    responses_by_status: dict[str, Any] = {str(status): success}
    if cached:
        responses_by_status["304"] = {"description": "What If-None-Match names is still right.", "headers": HEADERS}
    for failure, codes in sorted(by_status.items()):
        examples = {code: {"$ref": f"#/components/examples/{code}"} for code in sorted(codes)}
        responses_by_status[str(failure)] = {
            "description": ", ".join(examples),
            "headers": {"X-Request-Id": HEADERS["X-Request-Id"]},
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
            },
        }
    return responses_by_status
