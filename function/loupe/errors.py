"""Every problem of a request as a type with its code, status and title (RFC 9457)."""

from __future__ import annotations

from typing import Any, ClassVar

PROBLEM_CONTENT_TYPE = "application/problem+json"
# A URN, not a URL: docs/api.md describes the codes.
PROBLEM_TYPE_BASE = "urn:loupe:problem:"


class Problem(Exception):  # noqa: N818 (RFC 9457 calls them problems)
    """A request without a prediction. ``detail`` is a sentence for the client and contains no internals.

    Attributes
    ----------
    code : str
        Stable identifier for programs; its meaning never changes.
    status : int
        HTTP status. A client's mistake is 4xx, never 5xx.
    headers : dict[str, str]
        Headers that HTTP requires with this status (``Allow``, ``Retry-After``).
    cause : str
        Name of the exception type that caused it, for the log only.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, cause: str = "") -> None:
        super().__init__(detail)
        self.detail, self.cause = detail, cause
        self.headers = headers or {}

    def to_dict(self, request_id: str) -> dict[str, Any]:
        """Return the RFC 9457 object."""
        return {
            "type": PROBLEM_TYPE_BASE + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }


class RequestInvalid(Problem):
    code, status, title = "request_invalid", 400, "The request cannot be understood"


class NotFound(Problem):
    code, status, title = "not_found", 404, "There is no such route or method"


class MethodNotAllowed(Problem):
    code, status, title = "method_not_allowed", 405, "This address does not take this method"


class ImageTooLarge(Problem):
    code, status, title = "image_too_large", 413, "The image is larger than allowed"


class UnsupportedMediaType(Problem):
    code, status, title = "unsupported_media_type", 415, "This kind of content is not accepted"


class ImageUndecodable(Problem):
    code, status, title = "image_undecodable", 422, "The image cannot be decoded"


class UrlNotAllowed(Problem):
    code, status, title = "url_not_allowed", 422, "This URL may not be fetched"


class UrlUnreachable(Problem):
    code, status, title = "url_unreachable", 422, "The URL could not be fetched"


class S3NotAllowed(Problem):
    code, status, title = "s3_not_allowed", 422, "This S3 object may not be read"


class S3Unreachable(Problem):
    code, status, title = "s3_unreachable", 422, "The S3 object could not be read"


class UploadsOff(Problem):
    code, status, title = "uploads_off", 404, "This endpoint takes no uploads"


class BatchTooLarge(Problem):
    code, status, title = "batch_too_large", 413, "The batch has more items than allowed"


class ResultTooLarge(Problem):
    code, status, title = "result_too_large", 422, "The response would be larger than allowed"


class CallerUnknown(Problem):
    code, status, title = "caller_unknown", 403, "The request does not say whose jobs it is about"


class JobNotFound(Problem):
    code, status, title = "job_not_found", 404, "There is no such job"


class JobConflict(Problem):
    code, status, title = "job_conflict", 409, "The idempotency key belongs to another job"


class JobNotRedrivable(Problem):
    code, status, title = "job_not_redrivable", 409, "This job cannot be redriven"


class ManifestInvalid(Problem):
    code, status, title = "manifest_invalid", 422, "The manifest or prefix cannot be processed"


class ItemInvalid(Problem):
    code, status, title = "item_invalid", 422, "This row of the manifest names no image"


class ModelFailed(Problem):
    code, status, title = "model_failed", 500, "The model returned no usable result"


class S3Unavailable(Problem):
    code, status, title = "s3_unavailable", 503, "S3 did not answer in time"


class JobsUnavailable(Problem):
    code, status, title = "jobs_unavailable", 503, "Bulk jobs cannot be reached at the moment"


class DeadlineExceeded(Problem):
    code, status, title = "deadline_exceeded", 503, "There was not enough time"


class InternalError(Problem):
    """The response of an entry point to any other exception."""

    @classmethod
    def from_exception(cls, error: Exception) -> InternalError:
        """Return a problem without the exception's text; the cause is logged with its stack trace."""
        problem = cls("The request could not be served. Quote the request id when you report this.")
        problem.__cause__ = error
        return problem


def all_problems() -> tuple[type[Problem], ...]:
    """Return every type of problem, by status and code, for the table in the docs and the alarms' codes."""
    return tuple(sorted(Problem.__subclasses__(), key=lambda problem: (problem.status, problem.code)))
