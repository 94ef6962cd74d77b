"""Cross-origin requests: which pages elsewhere may call the endpoint from a browser (Fetch standard, CORS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.http.envelope import HttpRequest

# Of each way to say who calls: a key, a token, an AWS signature.
ALLOW_HEADERS = "Content-Type, X-Api-Key, Authorization, X-Amz-Date, X-Amz-Security-Token, X-Amz-Content-Sha256"
EXPOSE_HEADERS = "X-Request-Id, Server-Timing, Retry-After"
_MAX_AGE_SECONDS = 600


def headers(origins: Sequence[str], request: HttpRequest, methods: Sequence[str] = ()) -> dict[str, str]:
    """Headers that every answer carries, a problem too; of a preflight also what the path takes.

    Parameters
    ----------
    origins
        Exact origins, or ``*`` alone; none turns CORS off.
    methods
        What the path takes, where the request is a preflight.
    """
    if not origins:
        return {}
    allowed = "*" if "*" in origins else request.headers.get("origin", "")
    # Where the answer depends on who asks, no cache may give it to another.
    found = {} if allowed == "*" else {"Vary": "Origin"}
    if allowed not in origins:
        return found
    found |= {"Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": EXPOSE_HEADERS}
    if methods and request.method == "OPTIONS":
        found["Access-Control-Allow-Methods"] = ", ".join(methods)
        found["Access-Control-Allow-Headers"] = ALLOW_HEADERS
        found["Access-Control-Max-Age"] = str(_MAX_AGE_SECONDS)
    return found
