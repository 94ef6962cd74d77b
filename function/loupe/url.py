"""Fetching a picture by URL without being turned against the network that the function stands in.

The host is resolved once and every address is checked; the connection goes to a checked address with the name kept for
TLS, so a second look-up cannot change where it goes. Redirects are checked like the first URL. One deadline covers all.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from loupe.errors import ImageTooLarge, UrlNotAllowed, UrlUnreachable

if TYPE_CHECKING:
    from loupe.settings import UrlRules

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int, float], Sequence[Address]]

_DEFAULT_PORTS = {"https": 443, "http": 80}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 64 * 1024
_MAX_URL = 2048
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


@dataclass(frozen=True)
class Target:
    """A URL that passed the rules, with the address that it was checked against."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet; embedded IPv4 addresses are looked at as such."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is None and address.teredo is not None:
            return False
        if embedded is None and any(address in network for network in _NAT64):
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(embedded)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(host: str, port: int, timeout: float) -> Sequence[Address]:
    """Look a name up in the system's resolver, giving up after ``timeout`` seconds."""
    found: list[Address] = []

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.extend(ipaddress.ip_address(info[4][0].partition("%")[0]) for info in infos)

    # getaddrinfo takes no timeout; a thread that outlives its request holds nothing.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(timeout)
    return tuple(found)


class Fetcher:
    """Fetches what `UrlRules` allow. ``max_bytes`` caps the body while it streams."""

    def __init__(self, rules: UrlRules, max_bytes: int, resolver: Resolver = resolve) -> None:
        self._rules, self._max_bytes, self._resolver = rules, max_bytes, resolver
        self._tls: ssl.SSLContext | None = None

    def fetch(self, url: str) -> bytes:
        """Return the body.

        Raises
        ------
        UrlNotAllowed
            If the rules refuse the URL, one of its addresses, or a redirect.
        UrlUnreachable
            If there was no good answer in time.
        ImageTooLarge
            If the body is larger than ``max_bytes``.
        """
        deadline = time.monotonic() + self._rules.timeout_seconds
        for _ in range(self._rules.max_redirects + 1):
            answer = self._get(self._check(url, deadline), deadline)
            if isinstance(answer, bytes):
                return answer
            url = urljoin(url, answer)
        raise UrlUnreachable(f"The URL redirects more than {self._rules.max_redirects} times.")

    def _check(self, url: str, deadline: float) -> Target:
        rules = self._rules
        if rules.policy == "off":
            raise UrlNotAllowed("This endpoint does not fetch URLs. Send the picture itself.")
        parts, host, port = _split(url)
        if parts.scheme not in rules.schemes:
            raise UrlNotAllowed(f"Only {' and '.join(rules.schemes)} URLs are fetched.")
        if port not in rules.ports:
            raise UrlNotAllowed(f"Port {port} is not one that is fetched from.")
        if rules.policy == "allow-list" and not any(_matches(host, pattern) for pattern in rules.hosts):
            raise UrlNotAllowed(f"The host {host} is not on this endpoint's list.")
        addresses = _literal(host) or self._resolver(host, port, max(0.05, deadline - time.monotonic()))
        if not addresses:
            raise UrlUnreachable(f"The host {host} has no address.")
        if not all(self._may_connect(address) for address in addresses):
            raise UrlNotAllowed(f"The host {host} is not on the public internet.")
        path = parts.path or "/"
        return Target(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path, addresses[0])

    def _may_connect(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._rules.private_networks)

    def _get(self, target: Target, deadline: float) -> bytes | str:
        """Return the body, or the address that a redirect names."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise self._too_slow()
        connection = self._connection(target, remaining)
        # Socket timeouts start anew with every byte; the watchdog ends a trickle at the deadline.
        watchdog = threading.Timer(remaining, _abort, (connection,))
        watchdog.daemon = True
        watchdog.start()
        try:
            connection.request("GET", target.path, headers={"Accept": "image/*", "Accept-Encoding": "identity",
                                                            "User-Agent": "Loupe", "Connection": "close"})  # fmt: skip
            response = connection.getresponse()
            if response.status in _REDIRECTS and response.headers.get("Location"):
                return str(response.headers["Location"])
            if response.status != 200:
                raise UrlUnreachable(f"The host {target.host} answered {response.status}.")
            return self._read(response, deadline)
        except ssl.SSLCertVerificationError:
            raise UrlUnreachable(f"The certificate of {target.host} is not valid.") from None
        except (OSError, http.client.HTTPException, ValueError):
            if time.monotonic() >= deadline:
                raise self._too_slow() from None
            raise UrlUnreachable(f"The host {target.host} did not give an answer that can be read.") from None
        finally:
            watchdog.cancel()
            connection.close()

    def _read(self, response: http.client.HTTPResponse, deadline: float) -> bytes:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UrlUnreachable("The host answered with a compressed body although none was asked for.")
        if response.length is not None and response.length > self._max_bytes:
            raise self._too_large()
        expected, body = response.length, bytearray()
        while chunk := response.read1(_CHUNK):
            body += chunk
            if len(body) > self._max_bytes:
                raise self._too_large()
        if time.monotonic() >= deadline:
            raise self._too_slow()
        if expected is not None and len(body) < expected:
            raise UrlUnreachable("The host closed the connection before the whole body had arrived.")
        return bytes(body)

    def _connection(self, target: Target, timeout: float) -> http.client.HTTPConnection:
        if target.scheme == "http":
            return _Pinned(target, timeout, None)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return _Pinned(target, timeout, self._tls)

    def _too_slow(self) -> UrlUnreachable:
        return UrlUnreachable(f"The URL did not give the whole picture within {self._rules.timeout_seconds:g} s.")

    def _too_large(self) -> ImageTooLarge:
        return ImageTooLarge(f"The picture at the URL is larger than {self._max_bytes:,} bytes.")


class _Pinned(http.client.HTTPConnection):
    """A connection to a checked address; the name serves the Host header and TLS only."""

    def __init__(self, target: Target, timeout: float, tls: ssl.SSLContext | None) -> None:
        # A default port that equals the target's keeps it out of the Host header where it is the scheme's own.
        super().__init__(target.host, target.port, timeout=timeout)
        self.default_port = _DEFAULT_PORTS[target.scheme]
        self._target, self._context = target, tls

    def connect(self) -> None:
        connected = socket.create_connection((str(self._target.address), self._target.port), self.timeout)
        self.sock = connected
        if self._context is not None:
            self.sock = self._context.wrap_socket(connected, server_hostname=self._target.host)


def _abort(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _split(url: str) -> tuple[SplitResult, str, int]:
    if len(url) > _MAX_URL or any(ord(char) <= 32 or ord(char) > 126 or char == "\\" for char in url):
        raise UrlNotAllowed(f"The URL must be at most {_MAX_URL} ASCII characters, with spaces and others escaped.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlNotAllowed("The URL is not a valid one.") from None
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise UrlNotAllowed("Only http and https URLs can be fetched.")
    if parts.username is not None or parts.password is not None:
        raise UrlNotAllowed("The URL holds a user name or password; neither is sent.")
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise UrlNotAllowed("The URL names no host.")
    return parts, host, _DEFAULT_PORTS[scheme] if port is None else port


def _literal(host: str) -> Sequence[Address]:
    """The address that a host is, in the standard notation; octal, hex and short forms are refused outright."""
    try:
        return (ipaddress.ip_address(host),)
    except ValueError:
        last = host.rpartition(".")[2]
        if last.isdigit() or last[:2] == "0x" or ":" in host:
            raise UrlNotAllowed("The URL's host is an address in an unusual notation.") from None
        return ()


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern
