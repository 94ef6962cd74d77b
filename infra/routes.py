"""The API's routes, read from its OpenAPI document: data that the function's contract is generated into."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Route:
    """A path and method; an ``open`` one needs no API key."""

    method: str
    path: str
    open: bool = False


def read_routes(document: Path) -> tuple[Route, ...]:
    """Return the document's operations. One with ``security: []`` is open (OpenAPI 3.1, 'Operation Object').

    Parameters
    ----------
    document
        ``docs/openapi.json``.
    """
    api = json.loads(document.read_text(encoding="utf-8"))
    default = api.get("security", [])
    return tuple(
        Route(method.upper(), path, open=not operations[method].get("security", default))
        for path, operations in api["paths"].items()
        for method in _METHODS
        if method in operations
    )
