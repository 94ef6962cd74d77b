"""Requests to the endpoint under test, with their times."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.smoke.credentials import Credentials

_TOO_MANY_REQUESTS = 429


class CheckError(Exception):
    """A check failed; the message is the sentence to print."""


class NotApplicableError(Exception):
    """A check does not concern this endpoint; the message says why."""


@dataclass(frozen=True)
class Reply:
    """An HTTP response.

    Attributes
    ----------
    milliseconds
        From the first byte sent to the last byte received.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    milliseconds: float

    @property
    def json(self) -> Any:
        """The body as JSON; `CheckError` if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise CheckError(f"the body of the HTTP {self.status} response is not JSON: {self.excerpt}") from None

    @property
    def excerpt(self) -> str:
        """The first characters of the body, printable."""
        return ascii(self.body[:200].decode("utf-8", "replace"))


@dataclass
class Endpoint:
    """The endpoint under test.

    Attributes
    ----------
    url
        With a slash at its end.
    throttle_seconds
        For how long a throttled request is sent again: a smoke test shares the client's rate with real traffic.
    throttled
        How many requests were answered with 429 and sent again.
    transport
        Replaces the network in tests.
    """

    url: str
    credentials: Credentials
    timeout_seconds: float = 40.0
    throttle_seconds: float = 60.0
    throttled: int = 0
    transport: httpx.BaseTransport | None = field(default=None, repr=False)
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.url = self.url.rstrip("/") + "/"
        self._client = httpx.Client(timeout=self.timeout_seconds, follow_redirects=False, transport=self.transport)

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        credentials: Credentials | None = None,
        retry_throttled: bool = True,
    ) -> Reply:
        """Send one request; a throttled one again after its ``Retry-After``.

        Raises
        ------
        CheckError
            If no HTTP response arrived.
        """
        deadline = time.monotonic() + self.throttle_seconds
        while True:
            reply = self._send(method, path, body, headers or {}, credentials or self.credentials)
            if reply.status != _TOO_MANY_REQUESTS or not retry_throttled or time.monotonic() >= deadline:
                return reply
            self.throttled += 1
            time.sleep(min(5.0, float(reply.headers.get("retry-after", "1"))))

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str], credentials: Credentials) -> Reply:
        url = self.url + path.lstrip("/")
        sent = dict(headers)
        sent |= credentials.headers(method, url, sent, body)
        begin = time.perf_counter()
        try:
            response = self._client.request(method, url, content=body or None, headers=sent)
        except httpx.HTTPError as error:
            raise CheckError(f"{method} {url} had no HTTP response: {type(error).__name__}: {error}") from error
        return Reply(response.status_code, response.headers, response.content, (time.perf_counter() - begin) * 1000)

    def get(self, path: str, **options: Any) -> Reply:
        return self.send("GET", path, **options)

    def post(self, path: str, body: bytes, content_type: str | None, **options: Any) -> Reply:
        headers = {} if content_type is None else {"Content-Type": content_type}
        return self.send("POST", path, body, headers, **options)

    def post_json(self, path: str, value: Any, **options: Any) -> Reply:
        return self.post(path, json.dumps(value).encode(), "application/json", **options)

    def close(self) -> None:
        self._client.close()
