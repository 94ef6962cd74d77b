"""Events as AWS sends them, and the context that comes with each."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode


@dataclass
class Context:
    aws_request_id: str = "request-1"
    remaining_ms: int = 15_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


def _body(body: bytes | str | None) -> dict[str, Any]:
    if isinstance(body, bytes):
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {"body": body, "isBase64Encoded": False}


def rest(
    method: str = "POST",
    path: str = "/v1/classify",
    body: bytes | str | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """API Gateway REST proxy event (payload 1.0), as far as it concerns a handler."""
    headers = headers or {}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": headers or None,
        "multiValueHeaders": {name: [value] for name, value in headers.items()} or None,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"stage": "live", "requestId": "gateway-1", "path": f"/live{path}", "httpMethod": method},
        **_body(body),
        **changes,
    }


def http(
    method: str = "POST",
    path: str = "/v1/classify",
    body: bytes | str | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    stage: str = "$default",
    **changes: Any,
) -> dict[str, Any]:
    """HTTP API or function-URL event (payload 2.0)."""
    raw = path if stage == "$default" else f"/{stage}{path}"
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": raw,
        "rawQueryString": urlencode(query or {}),
        "headers": {name.lower(): value for name, value in (headers or {}).items()},
        "requestContext": {"stage": stage, "requestId": "gateway-1", "http": {"method": method, "path": raw}},
        **{key: value for key, value in _body(body).items() if value is not None},
        **changes,
    }


def json_body(value: Any) -> dict[str, Any]:
    """Body and headers of a JSON request, for `rest` and `http`."""
    return {"body": json.dumps(value), "headers": {"Content-Type": "application/json"}}


def form_body(*parts: tuple[str, bytes, str | None, str | None], boundary: str = "XyZ") -> dict[str, Any]:
    """A form's body and headers; parts are name, content, file name, content type."""
    out = b""
    for name, content, filename, kind in parts:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        out += f'; filename="{filename}"'.encode() if filename is not None else b""
        out += f"\r\nContent-Type: {kind}".encode() if kind else b""
        out += b"\r\n\r\n" + content + b"\r\n"
    out += f"--{boundary}--\r\n".encode()
    return {"body": out, "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"}}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def body_of(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])
