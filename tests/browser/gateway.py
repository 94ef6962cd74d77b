"""API Gateway's part on one port: HTTP requests to REST proxy events for the real handler, and its API key."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

STAGE = "/live"
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
OPEN = ("/", "/v1/health", "/openapi.json")


class Context:
    """Lambda's context object."""

    def __init__(self) -> None:
        self.aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        return 15_000


@dataclass(frozen=True)
class Answer:
    """A scripted response in place of the function's."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    """A request as it came, its path without the stage."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: str = ""


class Gateway:
    """A deployed endpoint as a browser sees it.

    Attributes
    ----------
    key : str or None
        The API key that the keyed routes want.
    received : list of Received
        Every request, in the order in which they came.
    instead : list of Answer
        Returned in this order instead of the next responses of ``POST /v1/classify``.
    at : dict of str to Answer
        Answers of whole URL paths, with the stage or outside of it, instead of the function's.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        # One execution environment serves one request at a time.
        self._one_at_a_time = threading.Lock()
        self.key: str | None = None
        self.received: list[Received] = []
        self.instead: list[Answer] = []
        self.at: dict[str, Answer] = {}
        self.url = ""

    def classified(self) -> list[Received]:
        return [request for request in self.received if request.path == "/v1/classify"]

    def answer(self, request: Received) -> Answer:
        self.received.append(request)
        if self.key and request.path not in OPEN and request.headers.get("x-api-key") != self.key:
            return Answer(403, b'{"message":"Forbidden"}', {"Content-Type": "application/json"})
        if request.path == "/v1/classify" and self.instead:
            return self.instead.pop(0)
        with self._one_at_a_time:
            answer = self._handler(_event(request), Context())
        body = answer["body"]
        data = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
        return Answer(answer["statusCode"], data, answer["headers"])

    @contextmanager
    def serve(self) -> Iterator[Gateway]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _serving(self))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}{STAGE}/"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def problem(status: int, code: str, title: str, detail: str, **headers: str) -> Answer:
    """A problem document, as the function and the gateway's responses give it."""
    body = {"type": f"urn:loupe:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/problem+json", **headers})


def _event(request: Received) -> dict[str, Any]:
    """The fields of API Gateway's REST proxy event that the function reads."""
    return {
        "httpMethod": request.method,
        "path": request.path,
        "headers": request.headers,
        "queryStringParameters": dict(parse_qsl(request.query)) or None,
        "requestContext": {"stage": STAGE.strip("/")},
        # Every body is binary (`binaryMediaTypes: */*`).
        "body": base64.b64encode(request.body).decode() or None,
        "isBase64Encoded": bool(request.body),
    }


def _serving(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Connection(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if url.path in gateway.at:
                gateway.received.append(Received(self.command, url.path, headers, body))
                answer = gateway.at[url.path]
            elif url.path == STAGE or url.path.startswith(f"{STAGE}/"):
                received = Received(self.command, url.path.removeprefix(STAGE) or "/", headers, body, url.query)
                answer = gateway.answer(received)
            else:
                answer = Answer(403, b'{"message":"Forbidden"}', {"Content-Type": "application/json"})
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815 (the name is the base class's)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing: the tests tell what matters."""

    return Connection
