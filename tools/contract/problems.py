"""Every problem that the API returns: examples of the function's own, and those of the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loupe.errors import (
    PROBLEM_TYPE_BASE,
    BatchTooLarge,
    CallerUnknown,
    DeadlineExceeded,
    ImageTooLarge,
    ImageUndecodable,
    InternalError,
    ItemInvalid,
    JobConflict,
    JobNotFound,
    JobNotRedrivable,
    JobsUnavailable,
    ManifestInvalid,
    MethodNotAllowed,
    ModelFailed,
    NotFound,
    Problem,
    RequestInvalid,
    ResultTooLarge,
    S3NotAllowed,
    S3Unavailable,
    S3Unreachable,
    UnsupportedMediaType,
    UploadsOff,
    UrlNotAllowed,
    UrlUnreachable,
)
from loupe.formats import DEFAULT_FORMATS, names_of

REQUEST_ID = "8f4e2c1a-6d3b-4f5e-9a7c-0b1d2e3f4a5b"

# Type -> an example of its detail.
EXAMPLES: dict[type[Problem], str] = {
    RequestInvalid: 'Send exactly one of "url", "image" and "s3"; this request has "url" and "image".',
    NotFound: "There are: POST /v1/classify, GET /v1/models.",
    MethodNotAllowed: "Send POST, not PUT.",
    ImageTooLarge: "The image has 9000 x 9000 pixels; at most 25,000,000 in all are allowed. Scale it down.",
    BatchTooLarge: "The batch has 40 items; at most 32 are allowed. Send several batches.",
    UnsupportedMediaType: f"The content is not an image in a format that is read here: {names_of(DEFAULT_FORMATS)}.",
    ImageUndecodable: "The JPEG data is damaged or cut off. Send the whole file.",
    UrlNotAllowed: "The host localhost is not on the public internet.",
    UrlUnreachable: "The host example.com answered 404.",
    S3NotAllowed: "This bucket or prefix is not one that this endpoint reads from.",
    S3Unreachable: "There is no such object, or this endpoint may not read it. Check bucket, key and version.",
    UploadsOff: "This endpoint has no upload bucket. Send the image itself.",
    ResultTooLarge: "The batch's response has become too large. Request fewer scores with top.",
    ModelFailed: "The model's output for this image is not a number.",
    InternalError: "The request could not be served. Quote the request id when you report this.",
    S3Unavailable: "S3 did not return the object in time. Send the request again.",
    CallerUnknown: "Jobs belong to whoever starts them, and this request has no identity. Send credentials.",
    JobNotFound: "You have no job of this id. A job that was just started may take a moment to appear; one that ended "
    "more than 90 days ago is no longer known.",
    JobConflict: "This Idempotency-Key started a job with another request. Use a new key.",
    JobNotRedrivable: "The job is running. Wait for its end, or stop it first.",
    ManifestInvalid: "There is no such manifest, or this deployment may not read it. Check bucket and key.",
    ItemInvalid: 'The row has both "s3" and "key". Keep one of them.',
    JobsUnavailable: "AWS Step Functions is busy or did not answer. Try again.",
    DeadlineExceeded: "This item was not processed in time: send it again.",
}


@dataclass(frozen=True)
class GatewayProblem:
    """A problem that API Gateway returns itself.

    Attributes
    ----------
    responses
        API Gateway's names of the failure ("Gateway response types for API Gateway").
    retry_after
        Value of the ``Retry-After`` header in seconds, where a retry can help.
    """

    status: int
    code: str
    title: str
    detail: str
    responses: tuple[str, ...]
    retry_after: int | None = None


_REPORT_HINT = "Quote the request id when you report this."
_NO_ROUTE = (
    "No route has this path, or the route does not take this method; openapi.json lists both. Where the deployment "
    "asks for AWS signatures, the request may lack one."
)

GATEWAY_PROBLEMS = (
    GatewayProblem(
        400, RequestInvalid.code, RequestInvalid.title, "API Gateway rejected the request.", ("DEFAULT_4XX",)
    ),
    GatewayProblem(
        401, "unauthorized", "Credentials are missing or not valid", "Send valid credentials.", ("UNAUTHORIZED",)
    ),
    GatewayProblem(
        403,
        "api_key_invalid",
        "The API key is missing or not valid",
        "Send a valid key in the header x-api-key.",
        ("INVALID_API_KEY",),
    ),
    GatewayProblem(
        403,
        "forbidden",
        "This is not allowed",
        "The request was rejected.",
        ("ACCESS_DENIED", "EXPIRED_TOKEN", "INVALID_SIGNATURE", "WAF_FILTERED"),
    ),
    GatewayProblem(
        404, NotFound.code, NotFound.title, _NO_ROUTE, ("MISSING_AUTHENTICATION_TOKEN", "RESOURCE_NOT_FOUND")
    ),
    GatewayProblem(
        413,
        "request_too_large",
        "The request is larger than allowed",
        "A request carries about 4.5 MB: an image of that size as bytes or in a form, of 3.4 MB as base64 in JSON. "
        "Send a larger one through POST /v1/uploads.",
        ("REQUEST_TOO_LARGE",),
    ),
    GatewayProblem(
        415,
        UnsupportedMediaType.code,
        UnsupportedMediaType.title,
        "Send an image, or JSON.",
        ("UNSUPPORTED_MEDIA_TYPE",),
    ),
    GatewayProblem(
        429, "quota_exceeded", "The key's quota is used up", "Try again in the next period.", ("QUOTA_EXCEEDED",)
    ),
    GatewayProblem(
        429, "too_many_requests", "Too many requests", "Wait a moment and try again.", ("THROTTLED",), retry_after=1
    ),
    GatewayProblem(
        500,
        InternalError.code,
        InternalError.title,
        f"API Gateway failed. {_REPORT_HINT}",
        ("DEFAULT_5XX", "API_CONFIGURATION_ERROR", "AUTHORIZER_CONFIGURATION_ERROR", "AUTHORIZER_FAILURE"),
    ),
    # One response type for an invocation that Lambda throttles (re:Post QUL-z6rJbmR4meafB7MzYXxw) and for a function
    # that fails or times out (access log in DataBiosphere/azul pull request 6624): the text names both.
    GatewayProblem(
        503,
        "service_unavailable",
        "The service did not answer",
        "All execution environments are busy, or the function failed on this request. Send it again after Retry-After; "
        "if it fails again, quote the request id.",
        ("INTEGRATION_FAILURE",),
        retry_after=1,
    ),
    GatewayProblem(
        504, "timeout", "The response took too long", "Send a smaller image, or try again.", ("INTEGRATION_TIMEOUT",)
    ),
)


def example(kind: type[Problem]) -> dict[str, Any]:
    """Return a problem object as in a response."""
    return kind(EXAMPLES[kind]).to_dict(REQUEST_ID)


def gateway_example(problem: GatewayProblem, request_id: str = REQUEST_ID) -> dict[str, Any]:
    """Return a gateway's problem object; ``request_id`` may be the gateway's own variable."""
    return {
        "type": PROBLEM_TYPE_BASE + problem.code,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
    }


def examples() -> dict[str, dict[str, Any]]:
    """Return an example object for every problem code."""
    gateway = {problem.code: gateway_example(problem) for problem in GATEWAY_PROBLEMS}
    return gateway | {kind.code: example(kind) for kind in EXAMPLES}
