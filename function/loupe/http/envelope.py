"""Parse the events of API Gateway and function URLs into an HTTP request.

Event formats: API Gateway REST proxy (payload 1.0), HTTP API and function URL (payload 2.0), in AWS's developer guides.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

import pybase64

from loupe.errors import RequestInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping


_MAX_PARAMETERS = 100


class HttpRequest(NamedTuple):
    """An HTTP request. Header names are in lower case; ``query`` has all values of a name."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, tuple[str, ...]]
    text: str = ""
    is_base64: bool = False

    @property
    def content_type(self) -> str:
        """The media type in lower case without parameters, or '' if none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def body(self) -> bytes:
        """The body's bytes; `RequestInvalid` if the event is marked as base64 and is not."""
        if not self.is_base64:
            return self.text.encode("utf-8", "surrogatepass")
        try:
            return pybase64.b64decode(self.text, validate=True)
        except (binascii.Error, ValueError):
            raise RequestInvalid("The event's body is marked as base64 and is not.") from None


def is_http(event: Any) -> bool:
    """Whether an event is an HTTP request, rather than the payload of a direct invocation."""
    if not isinstance(event, dict):
        return False
    context = event.get("requestContext")
    return isinstance(context, dict) and ("httpMethod" in event or isinstance(context.get("http"), dict))


def unwrap(event: Mapping[str, Any]) -> HttpRequest:
    """Parse an HTTP event of either payload version. Missing parts are empty: the gateway creates events."""
    context = event["requestContext"]
    if isinstance(context.get("http"), dict):
        method, path = context["http"].get("method"), event.get("rawPath")
        query = {key: tuple(values) for key, values in _parse(event.get("rawQueryString")).items()}
        route, stage = _text(event.get("routeKey")).partition(" ")[2], _text(context.get("stage"))
    else:
        method, path = event.get("httpMethod"), event.get("path")
        query = _values(event.get("queryStringParameters"), event.get("multiValueQueryStringParameters"))
        route, stage = _text(event.get("resource")), ""
    headers = _values(event.get("headers"), event.get("multiValueHeaders"))
    return HttpRequest(
        _text(method).upper(),
        _path(_text(path), route, stage),
        {name.lower(): ", ".join(values) for name, values in headers.items()},
        query,
        _text(event.get("body")),
        event.get("isBase64Encoded") is True,
    )


def _path(path: str, route: str, stage: str) -> str:
    """Return the path without a custom domain's base path or payload 2.0's stage."""
    if route.startswith("/") and "{" not in route and path.rstrip("/").endswith(route.rstrip("/")):
        return route
    if "{" in route and "+}" not in route and (own := _own_segments(path, route)):
        return own
    if stage and stage != "$default" and (path == f"/{stage}" or path.startswith(f"/{stage}/")):
        path = path.removeprefix(f"/{stage}")
    return path or "/"


def _own_segments(path: str, route: str) -> str:
    """The end of a path that fits a route with parameters such as ``/v1/jobs/{id}``, or '' if none does."""
    parts = route.strip("/").split("/")
    segments = path.rstrip("/").split("/")[-len(parts) :]
    fits = len(segments) == len(parts) and all(
        part.startswith("{") or part == segment for part, segment in zip(parts, segments, strict=True)
    )
    return f"/{'/'.join(segments)}" if fits else ""


def _values(single: Any, multiple: Any) -> dict[str, tuple[str, ...]]:
    """Merge the two mappings of payload 1.0: the second has all values, but some senders omit it."""
    values: dict[str, tuple[str, ...]] = {
        str(name): (_text(value),) for name, value in _items(single) if value is not None
    }
    values.update(
        (str(name), tuple(_text(item) for item in items)) for name, items in _items(multiple) if _is_list(items)
    )
    return values


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _parse(query: Any) -> dict[str, list[str]]:
    try:
        return parse_qs(_text(query), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        # Routes with parameters reject it as an unknown one.
        return {f"(more than {_MAX_PARAMETERS} parameters)": [""]}
