"""CORS headers: which origins may call the endpoint from a browser (Fetch standard)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.http.envelope import HttpRequest

# The headers of each authentication mode (API key, token, AWS signature), and of a request that starts a job.
ALLOW_HEADERS = (
    "Content-Type, X-Api-Key, Authorization, X-Amz-Date, X-Amz-Security-Token, X-Amz-Content-Sha256, Idempotency-Key"
)
EXPOSE_HEADERS = "X-Request-Id, Server-Timing, Retry-After, Location, X-Cache, X-Experiment"
_MAX_AGE_SECONDS = 600


def headers(
    origins: Sequence[str], request: HttpRequest, methods: Sequence[str] = (), more: Sequence[str] = ()
) -> dict[str, str]:
    """Return the CORS headers of any response, and for a preflight also the methods of the path.

    Parameters
    ----------
    origins
        Exact origins, or ``*`` alone; none turns CORS off.
    methods
        The methods of the path, if the request is a preflight.
    more
        Request headers that are allowed in addition to `ALLOW_HEADERS`.
    """
    if not origins:
        return {}
    allowed = "*" if "*" in origins else request.headers.get("origin", "")
    # The response depends on the origin, so a cache must not reuse it for another one.
    values = {} if allowed == "*" else {"Vary": "Origin"}
    if allowed not in origins:
        return values
    values |= {"Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": EXPOSE_HEADERS}
    if methods and request.method == "OPTIONS":
        values["Access-Control-Allow-Methods"] = ", ".join(methods)
        values["Access-Control-Allow-Headers"] = ", ".join((ALLOW_HEADERS, *more))
        values["Access-Control-Max-Age"] = str(_MAX_AGE_SECONDS)
    return values
