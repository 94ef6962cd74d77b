"""Fetch JSON documents of an issuer over HTTPS, without redirects, bounded in time, size and depth."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

LOOPBACK = ("127.0.0.1", "::1", "localhost")
# For name look-up, connection, handshake, headers and body together.
FETCH_SECONDS = 3.0
MAX_BYTES = 256 * 1024
_BLOCK = 64 * 1024
# An address from a discovery document is text of the issuer; messages repeat no more than this.
_SHOWN = 200


class IssuerError(Exception):
    """The issuer's keys are unavailable. The message names the address and the cause."""


def shown(value: object) -> str:
    """Return the part of a value that a message repeats, on one line."""
    written = value if isinstance(value, str) and value.isprintable() else repr(value)
    return written if len(written) <= _SHOWN else written[:_SHOWN] + "..."


def json_object(data: bytes, url: str) -> dict[str, Any]:
    """Parse a fetched document as a JSON object.

    Raises
    ------
    IssuerError
        If it is not one, with its address.
    """
    try:
        document = json.loads(data)
    except ValueError:
        raise IssuerError(f"{shown(url)} is not JSON") from None
    except RecursionError:
        raise IssuerError(f"{shown(url)} is nested too deeply") from None
    if not isinstance(document, dict):
        raise IssuerError(f"{shown(url)} is not a JSON object")
    return document


def fetch(url: str, *, allow_http: bool, seconds: float = FETCH_SECONDS) -> bytes:
    """Fetch a document of at most ``MAX_BYTES`` bytes within ``seconds``.

    Raises
    ------
    IssuerError
        With the address and the reason.
    """
    try:
        parts, port = _split(url, allow_http=allow_http)
        with _connection(parts, port, time.monotonic() + seconds) as connection:
            path = parts.path or "/"
            connection.request("GET", f"{path}?{parts.query}" if parts.query else path)
            response = connection.getresponse()
            # Redirects are not followed: the target would not be the configured one.
            if response.status != http.client.OK:
                raise IssuerError(f"{shown(url)} answered {response.status}")
            return _body(response, url)
    except TimeoutError:
        raise IssuerError(f"{shown(url)} took more than {seconds:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise IssuerError(f"{shown(url)} cannot be fetched: {shown(str(error) or type(error).__name__)}") from None
    except UnicodeError:
        raise IssuerError(f"{shown(url)} is not an address") from None


def _split(url: str, *, allow_http: bool) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise IssuerError(f"{shown(url)} is not an address") from None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and allow_http and host in LOOPBACK)):
        raise IssuerError(f"{shown(url)} is not https")
    return parts, port or (443 if parts.scheme == "https" else 80)


def _body(response: http.client.HTTPResponse, url: str) -> bytes:
    body = bytearray()
    while part := response.read1(_BLOCK):
        body += part
        if len(body) > MAX_BYTES:
            raise IssuerError(f"{shown(url)} is larger than {MAX_BYTES} bytes")
    return bytes(body)


@contextlib.contextmanager
def _connection(parts: SplitResult, port: int, end: float) -> Iterator[http.client.HTTPConnection]:
    host = parts.hostname or ""
    with contextlib.closing(_dial(host, port, end)) as plain:
        plain.settimeout(_seconds_left(end))
        stream = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) if parts.scheme == "https" else plain
        )
        with contextlib.closing(stream):
            connection = http.client.HTTPConnection(host, port)
            if (parts.scheme, port) in (("https", 443), ("http", 80)):
                connection.port = connection.default_port  # so that the Host header has no port, as browsers send it
            connection.sock = cast("socket.socket", _TimedSocket(stream, end))
            yield connection


def _dial(host: str, port: int, end: float) -> socket.socket:
    failure = OSError("the name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        stream = socket.socket(family, kind, protocol)
        try:
            stream.settimeout(_seconds_left(end))
            stream.connect(address)
        except OSError as error:
            stream.close()
            failure = error
        else:
            return stream
    raise failure


def _seconds_left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _TimedSocket:
    """The part of a socket that `http.client` uses, with a deadline. A socket's timeout restarts with every byte."""

    def __init__(self, stream: socket.socket, end: float) -> None:
        self._stream, self._end = stream, end

    def sendall(self, data: Any) -> None:
        self._stream.settimeout(_seconds_left(self._end))
        self._stream.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._stream, self._end))

    def close(self) -> None:
        """Leave the stream open: `http.client` closes its socket before the body is read; `_connection` closes it."""


class _TimedReader(io.RawIOBase):
    def __init__(self, stream: socket.socket, end: float) -> None:
        super().__init__()
        self._stream, self._end = stream, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._stream.settimeout(_seconds_left(self._end))
        return self._stream.recv_into(buffer)
