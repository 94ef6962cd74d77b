"""Fetch an image by URL, protected against server-side request forgery (SSRF).

The host is resolved once and every address is checked; the connection goes to a checked address with the name kept for
TLS, so a second look-up cannot change where it goes. Redirects are checked like the first URL. One deadline covers all.

The standard library is used. urllib3 (part of the AWS base image through boto3, in a version that this project does not
pin) supports TLS to a given address, but its redirects, retries, pooling, proxies and decompression would have to be
turned off, its timeouts restart with every read, and importing it takes 15 to 30 ms; the rest is `http.client`, which
it is built on. Libraries against SSRF resolve and check, but leave the second look-up, the deadline or the size to
their user, or are no longer maintained.
"""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from loupe.errors import ImageTooLarge, UnsupportedMediaType, UrlNotAllowed, UrlUnreachable
from loupe.formats import DEFAULT_FORMATS, media_type_of, media_types, names_of
from loupe.sources.addresses import Address, Resolver, is_local_name, is_name, is_public, literal, resolve
from loupe.sources.connection import Deadline, open_connection
from loupe.sources.url import MAX_URL_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.sources.url import Url, UrlRules

_DEFAULT_PORTS = {"https": 443, "http": 80}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 64 * 1024
# Bytes that are enough to detect an image's format.
_MAGIC = 18
# Characters that a redirect may have unescaped; others are escaped as browsers do.
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~\\"


class Target(NamedTuple):
    """A URL that the rules allow, with its checked addresses."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: Sequence[Address]

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class Fetcher:
    """Fetches what `UrlRules` allow; safe to use from several threads.

    Parameters
    ----------
    rules
        Which URLs, and within how many seconds.
    max_bytes
        Cap on the body, held while it streams.
    resolver
        Resolves host names.
    formats
        The accepted formats of `loupe.formats.FORMATS`, for the request and for error messages.
    tls
        Trusted authorities; by default those of the system, loaded on first use.
    """

    def __init__(
        self,
        rules: UrlRules,
        max_bytes: int,
        resolver: Resolver = resolve,
        *,
        formats: Sequence[str] = DEFAULT_FORMATS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._rules, self._max_bytes, self._resolver, self._tls = rules, max_bytes, resolver, tls
        self._formats = formats

    def read(self, source: Url, *, seconds: float | None = None, hosts: list[str] | None = None) -> bytes:
        """Return the body; see `fetch`."""
        return self.fetch(source.url, seconds=seconds, hosts=hosts)

    def fetch(self, url: str, *, seconds: float | None = None, hosts: list[str] | None = None) -> bytes:
        """Return the body.

        Parameters
        ----------
        seconds
            The time that the caller has, if it is less than the rules allow.
        hosts
            Takes the hosts that passed `check`, those of redirects too, for the log.

        Raises
        ------
        UrlNotAllowed
            If the rules reject the URL, one of its addresses, or a redirect.
        UrlUnreachable
            If there was no valid response in time.
        ImageTooLarge
            If the body is larger than ``max_bytes``.
        UnsupportedMediaType
            If the body does not begin like an image.
        """
        limit = self._rules.timeout_seconds if seconds is None else min(seconds, self._rules.timeout_seconds)
        deadline = Deadline(limit)
        try:
            for _ in range(self._rules.max_redirects + 1):
                target = self.check(url, deadline)
                if hosts is not None:
                    hosts.append(target.host)
                body_or_redirect = self._get(target, deadline)
                if isinstance(body_or_redirect, bytes):
                    return body_or_redirect
                url = _joined(url, body_or_redirect)
        except TimeoutError:
            raise UrlUnreachable(f"The URL did not give the whole image within {limit:g} s.") from None
        raise UrlUnreachable(f"The URL redirects more than {self._rules.max_redirects} times.")

    def check(self, url: str, deadline: Deadline) -> Target:
        """Check a URL against the rules, resolve its host, and check every address.

        Raises
        ------
        UrlNotAllowed
        TimeoutError
            If the look-up exceeded the deadline.
        """
        rules = self._rules
        rules.check_policy()
        parts, host, port = _split(url)
        if literal(host) is None and not is_name(host):
            raise UrlNotAllowed("The URL's host is neither a name nor an address in the usual notation.")
        if parts.scheme not in rules.schemes:
            raise UrlNotAllowed(f"Only {' and '.join(rules.schemes)} URLs are fetched.")
        if port not in rules.ports:
            raise UrlNotAllowed(f"Port {port} is not one that is fetched from.")
        if rules.policy == "allow-list" and not any(_matches(host, pattern) for pattern in rules.hosts):
            raise UrlNotAllowed(f"The host {host} is not on this endpoint's list.")
        addresses = self._addresses(host, port, deadline)
        # The same sentence for unknown and for internal names: a difference would disclose internal names.
        if not addresses or not all(self._may_connect(address) for address in addresses):
            raise UrlNotAllowed(f"The host {host} has no address on the public internet.")
        path = parts.path or "/"
        return Target(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path, addresses)

    def _addresses(self, host: str, port: int, deadline: Deadline) -> Sequence[Address]:
        address = literal(host)
        if address is not None:
            return (address,)
        if is_local_name(host) and not self._rules.private_networks:
            return ()
        return self._resolver(host, port, deadline.left())

    def _may_connect(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._rules.private_networks)

    def _get(self, target: Target, deadline: Deadline) -> bytes | str:
        """Return the body, or the address that a redirect names."""
        tls = self._tls_context() if target.scheme == "https" else None
        headers = {"Host": target.authority, "Accept": ", ".join(media_types(self._formats)),
                   "Accept-Encoding": "identity", "User-Agent": "Loupe", "Connection": "close"}  # fmt: skip
        try:
            with open_connection(target.addresses, target.port, target.host, deadline, tls) as connection:
                connection.request("GET", target.path, headers=headers)
                response = connection.getresponse()
                if response.status in _REDIRECTS and response.headers.get("Location"):
                    return str(response.headers["Location"])
                if response.status != http.client.OK:
                    raise UrlUnreachable(f"The host {target.host} answered {response.status}.")
                return self._read(response)
        except TimeoutError:
            # The share of one address has ended; the deadline has passed only if no time is left.
            deadline.left()
            raise UrlUnreachable(f"The host {target.host} does not answer.") from None
        except ssl.SSLCertVerificationError:
            raise UrlUnreachable(f"The certificate of {target.host} is not valid.") from None
        except (OSError, http.client.HTTPException, ValueError):
            raise UrlUnreachable(f"The host {target.host} did not give an answer that can be read.") from None

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        if response.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
            raise UrlUnreachable("The host answered with a compressed body although none was asked for.")
        expected, body = response.length, bytearray()
        if expected is not None and expected > self._max_bytes:
            raise self._too_large()
        while chunk := response.read1(_CHUNK):
            format_checked = len(body) >= _MAGIC
            body += chunk
            if len(body) > self._max_bytes:
                raise self._too_large()
            if not format_checked and len(body) >= _MAGIC and media_type_of(bytes(body[:_MAGIC])) is None:
                raise UnsupportedMediaType(
                    f"What is at the URL is not an image in a format that is read here: {names_of(self._formats)}."
                )
        if expected is not None and len(body) < expected:
            raise UrlUnreachable("The host closed the connection before the whole body had arrived.")
        return bytes(body)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _too_large(self) -> ImageTooLarge:
        return ImageTooLarge(f"The image at the URL is larger than {self._max_bytes:,} bytes.")


def _split(url: str) -> tuple[SplitResult, str, int]:
    if len(url) > MAX_URL_CHARACTERS or any(not "!" <= char <= "~" or char == "\\" for char in url):
        raise UrlNotAllowed(
            f"The URL must be at most {MAX_URL_CHARACTERS} ASCII characters, with spaces and others escaped."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlNotAllowed("The URL is not a valid one.") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise UrlNotAllowed("Only http and https URLs can be fetched.")
    if "@" in parts.netloc:
        raise UrlNotAllowed("The URL holds a user name or password; neither is sent.")
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise UrlNotAllowed("The URL names no host.")
    return parts, host, _DEFAULT_PORTS[parts.scheme] if port is None else port


def _joined(url: str, location: str) -> str:
    """Return the target of a redirect. Headers are read as Latin-1 but are mostly UTF-8."""
    try:
        return urljoin(url, quote(location.strip().encode("latin-1"), safe=_URL_CHARACTERS))
    except ValueError:
        raise UrlUnreachable("The URL redirects to an address that cannot be read.") from None


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern
