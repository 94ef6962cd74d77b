"""The part of the API's contract that the gateway is built from, read from docs/openapi.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Route:
    """A path and method.

    Attributes
    ----------
    open
        Needs no credentials: ``security: []`` (OpenAPI 3.1, 'Operation Object').
    """

    method: str
    path: str
    open: bool = False


@dataclass(frozen=True)
class Contract:
    """Routes, binary media types, and the problems that the gateway returns itself.

    Attributes
    ----------
    job_routes
        Routes of bulk jobs (``x-loupe-feature: bulk``), which only a deployment with bulk jobs has.
    model_routes
        Routes with a model in their path (``x-loupe-feature: models``), of a deployment with several models.
    model_job_routes
        Routes of bulk jobs with a model in their path (``x-loupe-feature: bulk-models``), of one with both.
    image_paths
        Paths whose bodies contain images, binary or as base64.
    problem_codes
        Every `code` of a problem, of the function or the gateway.
    problems
        Problem object by API Gateway's response type.
    retry_after
        Seconds for the ``Retry-After`` header by response type.
    """

    routes: tuple[Route, ...]
    binary_media_types: tuple[str, ...]
    image_paths: tuple[str, ...]
    problem_codes: tuple[str, ...]
    problems: Mapping[str, Mapping[str, Any]]
    retry_after: Mapping[str, int]
    job_routes: tuple[Route, ...] = ()
    model_routes: tuple[Route, ...] = ()
    model_job_routes: tuple[Route, ...] = ()

    def with_models(self, names: Sequence[str]) -> Contract:
        """Return the contract of a deployment with several models, with the routes that name one."""
        paths = [route.path.replace("{name}", name) for name in names for route in self.model_routes]
        return replace(
            self,
            routes=(*self.routes, *self.model_routes),
            image_paths=(*self.image_paths, *paths),
            job_routes=(*self.job_routes, *self.model_job_routes),
        )

    def open_methods(self, *, preflights: bool) -> tuple[tuple[str, str], ...]:
        """Return path and method of all requests that invoke the function without credentials.

        HEAD goes with GET (RFC 9110, 9.3.2); a preflight (Fetch standard) carries no credentials, on any path.
        """
        methods = [(route.path, method) for route in self.routes if route.open for method in methods_of(route)]
        if preflights:
            methods += [(path, "OPTIONS") for path in dict.fromkeys(route.path for route in self.routes)]
        return tuple(methods)


def methods_of(route: Route) -> tuple[str, ...]:
    """Return a route's methods, without preflights."""
    return ("GET", "HEAD") if route.method == "GET" else (route.method,)


def _routes(api: Mapping[str, Any], feature: str | None) -> tuple[Route, ...]:
    """Return the routes of a feature (None: those that every deployment has)."""
    return tuple(
        Route(
            method.upper(),
            path,
            open=not operations[method].get("security", api.get("security", [])),
        )
        for path, operations in api["paths"].items()
        for method in _METHODS
        if method in operations and operations[method].get("x-loupe-feature") == feature
    )


def read_contract(document: Path) -> Contract:
    """Read ``docs/openapi.json``."""
    api = json.loads(document.read_text(encoding="utf-8"))
    gateway = api["x-loupe-gateway"]
    return Contract(
        routes=_routes(api, None),
        job_routes=_routes(api, "bulk"),
        model_routes=_routes(api, "models"),
        model_job_routes=_routes(api, "bulk-models"),
        binary_media_types=tuple(gateway["binaryMediaTypes"]),
        image_paths=tuple(gateway["imagePaths"]),
        problem_codes=tuple(api["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]),
        problems=gateway["responses"],
        retry_after=gateway["retryAfter"],
    )
