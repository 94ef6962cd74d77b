"""The routes: the list that the function serves and from which the OpenAPI document and the gateway are built.

Every cold start imports it, so it has no schemas; the generator of the document adds those.
"""

from __future__ import annotations

from typing import NamedTuple

from loupe.errors import MethodNotAllowed, NotFound


class Route(NamedTuple):
    """``keyed`` routes need the API key if the deployment requires one; the others are open."""

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
# Of a deployment with several models alone.
MODEL_ROUTES = (
    Route("POST", "/v1/models/{name}/classify", "model_classify"),
    Route("POST", "/v1/models/{name}/classify/batch", "model_batch"),
)
_BY_PATH = {route.path: route for route in ROUTES}


def methods(route: Route) -> tuple[str, ...]:
    """Return the methods of a route's path: GET includes HEAD (RFC 9110), and all include OPTIONS."""
    return (route.method, "HEAD", "OPTIONS") if route.method == "GET" else (route.method, "OPTIONS")


def find(method: str, path: str, *, models: bool = False) -> Route:
    """Return the route of a request; ``models``: also those of `MODEL_ROUTES`.

    Raises
    ------
    loupe.errors.NotFound, loupe.errors.MethodNotAllowed
    """
    route = _BY_PATH.get(path.rstrip("/") or "/")
    if route is None and models and (name := model_of(path)):
        route = next((item for item in MODEL_ROUTES if item.path.format(name=name) == path.rstrip("/")), None)
    if route is None:
        routes = (*ROUTES, *MODEL_ROUTES) if models else ROUTES
        raise NotFound(f"There are: {', '.join(f'{route.method} {route.path}' for route in routes)}.")
    allowed = methods(route)
    if method not in allowed:
        raise MethodNotAllowed(f"This route takes {route.method}.", headers={"Allow": ", ".join(allowed)})
    return route


def model_of(path: str) -> str:
    """Return the model that a path of `MODEL_ROUTES` names; empty for any other path."""
    before, _, rest = path.partition("/v1/models/")
    return "" if before else rest.partition("/")[0]
