"""What the gateway needs of the API's contract, read from the OpenAPI document that `loupe.contract` generates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")
_JSON = "application/json"


@dataclass(frozen=True)
class Route:
    """A path and method.

    Attributes
    ----------
    open
        Needs no API key: ``security: []`` (OpenAPI 3.1, 'Operation Object').
    schema
        JSON Schema of the body, where it is JSON and nothing else: API Gateway takes a body without a content type
        for JSON, so it can check only those.
    """

    method: str
    path: str
    open: bool = False
    schema: str | None = None


@dataclass(frozen=True)
class Contract:
    """Routes, schemas by name, media types that are bytes, and the problems that the gateway answers itself."""

    routes: tuple[Route, ...]
    schemas: Mapping[str, Mapping[str, Any]]
    binary_media_types: tuple[str, ...]
    problems: Mapping[str, Mapping[str, Any]]


def read_contract(document: Path) -> Contract:
    """Read ``docs/openapi.json``."""
    api = json.loads(document.read_text(encoding="utf-8"))
    gateway = api["x-loupe-gateway"]
    return Contract(
        routes=tuple(
            Route(
                method.upper(),
                path,
                open=not operations[method].get("security", api.get("security", [])),
                schema=_schema(operations[method]),
            )
            for path, operations in api["paths"].items()
            for method in _METHODS
            if method in operations
        ),
        schemas=api["components"]["schemas"],
        binary_media_types=tuple(gateway["binaryMediaTypes"]),
        problems=gateway["responses"],
    )


def _schema(operation: Mapping[str, Any]) -> str | None:
    content = operation.get("requestBody", {}).get("content", {})
    if set(content) != {_JSON}:
        return None
    reference: str | None = content[_JSON].get("schema", {}).get("$ref")
    return reference and reference.rpartition("/")[2]
