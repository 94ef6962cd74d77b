"""The required form of a problem response (RFC 9457, docs/api.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.smoke.endpoint import CheckError

if TYPE_CHECKING:
    from collections.abc import Collection

    from tools.smoke.endpoint import Reply

_MEMBERS = ("type", "title", "status", "detail", "code", "request_id")


def expect_problem(reply: Reply, statuses: Collection[int], codes: Collection[str]) -> str:
    """Hold a response against the problem shape; return a detail for the report."""
    if reply.status not in statuses:
        expected = " or ".join(map(str, statuses))
        raise CheckError(f"HTTP {reply.status} instead of {expected}: {reply.excerpt}")
    media_type = reply.headers.get("content-type", "none")
    if not media_type.startswith("application/problem+json"):
        raise CheckError(f"HTTP {reply.status} with Content-Type {media_type} instead of application/problem+json")
    problem = reply.json
    missing = [name for name in _MEMBERS if name not in problem]
    if missing:
        raise CheckError(f"the problem lacks {', '.join(missing)}: {reply.excerpt}")
    if problem["status"] != reply.status:
        raise CheckError(f"the problem's status is {problem['status']}, the response's {reply.status}")
    if problem["code"] not in codes:
        raise CheckError(f"code {problem['code']!r} instead of {' or '.join(codes)}: {problem['detail']}")
    if not reply.headers.get("x-request-id"):
        raise CheckError("the response has no X-Request-Id")
    return f"{reply.status} {problem['code']}"
