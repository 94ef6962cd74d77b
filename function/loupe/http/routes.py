"""The routes: the one list that the function serves, the OpenAPI document describes and the gateway is built from.

Every cold start imports it, so it has no schemas; the generator of the document adds those.
"""

from __future__ import annotations

from typing import NamedTuple

from loupe.errors import MethodNotAllowed, NotFound


class Route(NamedTuple):
    """``keyed`` routes need the API key where a deployment wants one; the others are open to everybody."""

    method: str
    path: str
    name: str
    keyed: bool = True


ROUTES = (
    Route("POST", "/v1/classify", "classify"),
    Route("POST", "/v1/classify/batch", "batch"),
    Route("POST", "/v1/uploads", "uploads"),
    Route("GET", "/v1/models", "models"),
    Route("GET", "/v1/health", "health", keyed=False),
    Route("GET", "/openapi.json", "openapi", keyed=False),
    Route("GET", "/", "page", keyed=False),
)
_BY_PATH = {route.path: route for route in ROUTES}


def methods(route: Route) -> tuple[str, ...]:
    """Every method that a route's path takes: HEAD goes with GET (RFC 9110), OPTIONS with all."""
    return (route.method, "HEAD", "OPTIONS") if route.method == "GET" else (route.method, "OPTIONS")


def find(method: str, path: str) -> Route:
    """Return the route that answers.

    Raises
    ------
    loupe.errors.NotFound, loupe.errors.MethodNotAllowed
    """
    route = _BY_PATH.get(path.rstrip("/") or "/")
    if route is None:
        raise NotFound(f"There are: {', '.join(f'{route.method} {route.path}' for route in ROUTES)}.")
    allowed = methods(route)
    if method not in allowed:
        raise MethodNotAllowed(f"This route takes {route.method}.", headers={"Allow": ", ".join(allowed)})
    return route
