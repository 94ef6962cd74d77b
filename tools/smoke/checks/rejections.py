"""Checks of requests that the endpoint must reject, and of the problems that it returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.smoke.checks.problem import expect_problem
from tools.smoke.credentials import Anonymous
from tools.smoke.endpoint import NotApplicableError

if TYPE_CHECKING:
    from tools.smoke.suite import Run

# Above the 6 MB of a synchronous invocation, below the gateway's own 10 MB.
_TOO_LARGE_BYTES = 7_000_000
# By kind of credentials: the gateway's problems for missing and for invalid credentials.
_MISSING = {
    "api-key": ("api_key_invalid",),
    "token": ("unauthorized",),
    "iam": ("not_found", "forbidden", "unauthorized"),
}
_INVALID = {"api-key": ("api_key_invalid",), "token": ("unauthorized",), "iam": ("forbidden", "unauthorized")}
_AUTH_STATUSES = (401, 403)


def credentials_missing(run: Run) -> str:
    kind = _kind(run)
    # API Gateway says the same of an unsigned request as of an unknown route: MISSING_AUTHENTICATION_TOKEN.
    statuses = (*_AUTH_STATUSES, 404) if kind == "iam" else _AUTH_STATUSES
    return expect_problem(run.endpoint.get("v1/models", credentials=Anonymous()), statuses, _MISSING[kind])


def credentials_invalid(run: Run) -> str:
    kind = _kind(run)
    reply = run.endpoint.get("v1/models", credentials=run.endpoint.credentials.invalid())
    return expect_problem(reply, _AUTH_STATUSES, _INVALID[kind])


def not_an_image(run: Run) -> str:
    reply = run.endpoint.post("v1/classify", b"This is a text, not an image.", "image/jpeg")
    return expect_problem(reply, (415,), ("unsupported_media_type",))


def truncated_image(run: Run) -> str:
    data = run.card.golden[0].path.read_bytes()
    reply = run.endpoint.post("v1/classify", data[: len(data) // 2], "application/octet-stream")
    return expect_problem(reply, (422,), ("image_undecodable",))


def empty_body(run: Run) -> str:
    return expect_problem(run.endpoint.post("v1/classify", b"", "image/jpeg"), (400,), ("request_invalid",))


def invalid_json(run: Run) -> str:
    reply = run.endpoint.post("v1/classify", b'{"image": ', "application/json")
    return expect_problem(reply, (400,), ("request_invalid",))


def unknown_route(run: Run) -> str:
    # API Gateway returns 403 for unknown paths, which the deployment turns into a problem.
    return expect_problem(run.endpoint.get("v1/there-is-no-such-route"), (403, 404), ("not_found", "forbidden"))


def body_too_large(run: Run) -> str:
    reply = run.endpoint.post("v1/classify", bytes(_TOO_LARGE_BYTES), "image/jpeg")
    return expect_problem(reply, (413,), ("request_too_large",))


def _kind(run: Run) -> str:
    kind = run.endpoint.credentials.name
    if kind == "none":
        raise NotApplicableError("no credentials were given: this run cannot tell whether the endpoint asks for any")
    return kind
