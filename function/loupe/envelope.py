"""The trigger's envelope taken off: API Gateway and function-URL events to one HTTP request, or a direct invocation.

Event formats: API Gateway REST proxy (payload 1.0), HTTP API and function URL (payload 2.0), in AWS's developer guides.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from loupe.errors import RequestInvalid


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request as it was sent. Header names are in lower case; ``body`` is its bytes."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type in lower case without parameters, or '' if none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_http(event: Mapping[str, Any]) -> bool:
    """Tell an HTTP event from a direct invocation's payload."""
    return "requestContext" in event and ("httpMethod" in event or "http" in event["requestContext"])


def unwrap(event: Mapping[str, Any]) -> HttpRequest:
    """Read an HTTP event of either payload version.

    Raises
    ------
    loupe.errors.RequestInvalid
        If the body is marked as base64 and is not.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items() if value is not None}
    context = event["requestContext"]
    if "http" in context:
        method, path = context["http"]["method"], event.get("rawPath", "/")
        stage = context.get("stage", "$default")
        if stage != "$default":
            path = path.removeprefix(f"/{stage}") or "/"
        query = dict(parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True))
    else:
        method, path = event["httpMethod"], event.get("path") or "/"
        query = {name: value or "" for name, value in (event.get("queryStringParameters") or {}).items()}
    return HttpRequest(method.upper(), path, headers, query, _body(event))


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return bytes(body.encode())
    try:
        return base64.b64decode(body)
    except (binascii.Error, ValueError):
        raise RequestInvalid("The event's body is marked as base64 and is not.") from None
