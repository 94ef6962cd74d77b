"""The issuer's keys: fetched over HTTPS within bounds, kept, and fetched again when they age or rotate."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt

DISCOVERY = "/.well-known/openid-configuration"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
FETCH_SECONDS = 3.0
MAX_BYTES = 256 * 1024
MAX_KEYS = 100
MIN_RSA_BITS = 2048
# Keys that could not be fetched anew serve on for this long after their time.
STALE_SECONDS = 3600.0
# With no keys at all, every token fails: the issuer is asked again sooner.
RETRY_SECONDS = 2.0


class IssuerError(Exception):
    """The issuer's keys cannot be had. The message names the address and what is wrong with it."""


@dataclass(frozen=True)
class Key:
    """A public key. ``algorithm`` is the only one that it serves, or None where it does not say."""

    kid: str
    material: Any
    algorithm: str | None


class Issuer:
    """One OpenID issuer and its keys.

    Parameters
    ----------
    url
        As tokens have it in ``iss``.
    jwks_uri
        Where the keys are; without it the issuer's discovery document says so.
    cache_seconds
        How long keys are taken for the present ones.
    refetch_seconds
        An unknown key id makes the keys be fetched again, but not more often than this: key ids are the caller's words.
    allow_http
        Take plain HTTP from this machine itself.
    """

    def __init__(
        self,
        url: str,
        *,
        jwks_uri: str = "",
        cache_seconds: float,
        refetch_seconds: float,
        allow_http: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url, self._jwks_uri, self._allow_http, self._clock = url, jwks_uri, allow_http, clock
        self._cache_seconds, self._refetch_seconds = cache_seconds, refetch_seconds
        self._keys: Mapping[str, Key] = {}
        self._fetched = self._tried = float("-inf")
        self._failure = ""

    def key(self, kid: str) -> Key | None:
        """Find a key by its id.

        Raises
        ------
        IssuerError
            If there are no keys to look in.
        """
        if self._clock() - self._fetched >= self._cache_seconds or kid not in self._keys:
            self._refresh()
        return self._keys.get(kid)

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._tried < (self._refetch_seconds if self._keys else min(RETRY_SECONDS, self._refetch_seconds)):
            if not self._keys:
                raise IssuerError(self._failure)
            return
        self._tried = now
        try:
            self._keys = self._load()
        except IssuerError as error:
            self._failure = str(error)
            if now - self._fetched >= self._cache_seconds + STALE_SECONDS:
                self._keys = {}
                raise
            return
        self._fetched = now

    def _load(self) -> Mapping[str, Key]:
        uri = self._jwks_uri
        if not uri:
            address = self.url.rstrip("/") + DISCOVERY
            document = self._document(address)
            if document.get("issuer") != self.url:
                raise IssuerError(f"{address} is of the issuer {document.get('issuer')!r}, not of {self.url!r}")
            uri = str(document.get("jwks_uri", ""))
        entries = self._document(uri).get("keys")
        if not isinstance(entries, list):
            raise IssuerError(f"{uri} has no list of keys")
        keys = {key.kid: key for entry in entries[:MAX_KEYS] if (key := _public_key(entry))}
        if not keys:
            raise IssuerError(f"{uri} has no key for signatures that can be used")
        return keys

    def _document(self, url: str) -> Mapping[str, Any]:
        try:
            document = json.loads(self._fetch(url))
        except (OSError, http.client.HTTPException) as error:
            raise IssuerError(f"{url} cannot be fetched: {error or type(error).__name__}") from None
        except ValueError:
            raise IssuerError(f"{url} is not JSON") from None
        if not isinstance(document, dict):
            raise IssuerError(f"{url} is not a JSON object")
        return document

    def _fetch(self, url: str) -> bytes:
        parts = urlsplit(url)
        host = parts.hostname or ""
        connection: http.client.HTTPConnection
        if parts.scheme == "https" and host:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, parts.port, timeout=FETCH_SECONDS, context=context)
        elif parts.scheme == "http" and self._allow_http and host in LOOPBACK:
            connection = http.client.HTTPConnection(host, parts.port, timeout=FETCH_SECONDS)
        else:
            raise IssuerError(f"{url} is not https")
        end = time.monotonic() + FETCH_SECONDS
        try:
            path = parts.path or "/"
            connection.request("GET", f"{path}?{parts.query}" if parts.query else path)
            answer = connection.getresponse()
            # A redirect is no answer: it would lead to where the settings do not.
            if answer.status != http.client.OK:
                raise IssuerError(f"{url} answered {answer.status}")
            body = b""
            while part := answer.read1(MAX_BYTES):
                body += part
                if len(body) > MAX_BYTES:
                    raise IssuerError(f"{url} is larger than {MAX_BYTES} bytes")
                if time.monotonic() > end:
                    raise IssuerError(f"{url} took more than {FETCH_SECONDS:g} s")
            return body
        finally:
            connection.close()


def _public_key(entry: Any) -> Key | None:
    """Read a key for signatures; None for what is something else, or too weak. HMAC's kind, ``oct``, is none."""
    if not isinstance(entry, dict) or entry.get("kty") not in {"RSA", "EC", "OKP"} or "d" in entry:
        return None
    if entry.get("use", "sig") != "sig" or not isinstance(entry.get("kid"), str):
        return None
    try:
        material = jwt.PyJWK.from_dict(entry).key
    except (jwt.PyJWTError, ValueError, TypeError):  # one bad entry leaves the others good
        return None
    if entry["kty"] == "RSA" and material.key_size < MIN_RSA_BITS:
        return None
    return Key(entry["kid"], material, entry.get("alg"))
