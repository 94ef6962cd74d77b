"""Transient S3 errors. Without botocore, so that every part of the function may import it."""

from __future__ import annotations

# Codes of transient errors, with any status (S3 API reference, 'Error responses' and 'PutObject'). SSE-KMS
# returns KMS's codes. The two conflicts mean that another write of the same key is under way.
TRANSIENT_CODES = frozenset(
    {
        "ConditionalRequestConflict",
        "InternalError",
        "KMS.ThrottlingException",
        "OperationAborted",
        "Redirect",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "TemporaryRedirect",
        "Throttling",
        "ThrottlingException",
    }
)


def is_transient(code: str, status: int) -> bool:
    """Whether a request that failed with this error code and HTTP status may succeed if it is repeated."""
    return code in TRANSIENT_CODES or status >= 500
