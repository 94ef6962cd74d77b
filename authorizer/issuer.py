"""The issuer's keys: fetched within bounds, cached, and fetched again when they expire or rotate."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from documents import IssuerError, fetch, json_object, shown

DISCOVERY = "/.well-known/openid-configuration"
# Asymmetric algorithms only: with a shared secret (HMAC), or none, whoever can verify a token can create one.
ASYMMETRIC = re.compile(r"(RS|PS|ES)(256|384|512)|EdDSA")
MAX_KEYS = 100
MAX_KID = 1024
# Characters of a key's number in base64url: 16384 bits, the limit of OpenSSL.
MAX_NUMBER = 2731
MIN_RSA_BITS = 2048
# Expired keys that cannot be refreshed are used for this long.
STALE_SECONDS = 3600.0
# Without keys every token fails, so fetching is retried sooner.
RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class Key:
    """A public key. ``algorithm`` is the only one that it may be used with, or None if the issuer names none."""

    kid: str
    material: Any
    algorithm: str | None


class Issuer:
    """One OpenID issuer and its keys.

    Parameters
    ----------
    url
        The value of ``iss`` in tokens.
    jwks_uri
        The address of the keys; by default that of the issuer's discovery document.
    cache_seconds
        How long keys are cached.
    refetch_seconds
        Minimum interval between fetches for unknown key ids, which clients can choose.
    allow_http
        Allow plain HTTP to this machine.
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
        """Return a key by its id.

        Raises
        ------
        IssuerError
            If no keys are available.
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
                raise IssuerError(f"{address} is of the issuer {shown(repr(document.get('issuer')))}, not {self.url!r}")
            uri = str(document.get("jwks_uri", ""))
        entries = self._document(uri).get("keys")
        if not isinstance(entries, list):
            raise IssuerError(f"{shown(uri)} has no list of keys")
        keys = public_keys(entries)
        if not keys:
            raise IssuerError(f"{shown(uri)} has no key for signatures that can be used")
        return keys

    def _document(self, url: str) -> Mapping[str, Any]:
        return json_object(self._fetch(url), url)

    def _fetch(self, url: str) -> bytes:
        return fetch(url, allow_http=self._allow_http)


def public_keys(entries: list[Any]) -> dict[str, Key]:
    """Return the keys for signatures by their ids.

    Entries of another kind, too weak or malformed ones are skipped. Keys that share an id are not used, because it is
    ambiguous which of them signs.
    """
    keys = [key for entry in entries[:MAX_KEYS] if (key := _public_key(entry))]
    ids = Counter(key.kid for key in keys)
    return {key.kid: key for key in keys if ids[key.kid] == 1}


def _public_key(entry: Any) -> Key | None:
    """Return a key for signatures; None for anything else, including HMAC's kind, ``oct``."""
    if not isinstance(entry, dict) or "d" in entry:
        return None
    kind, kid, algorithm = entry.get("kty"), entry.get("kid"), entry.get("alg")
    if not isinstance(kind, str) or kind not in ("RSA", "EC", "OKP") or entry.get("use", "sig") != "sig":
        return None
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        return None
    if "alg" in entry and not (isinstance(algorithm, str) and ASYMMETRIC.fullmatch(algorithm)):
        return None
    numbers = {name: entry[name] for name in ("kty", "alg", "crv", "n", "e", "x", "y") if name in entry}
    if not all(isinstance(number, str) and len(number) <= MAX_NUMBER for number in numbers.values()):
        return None
    try:
        material = jwt.PyJWK.from_dict(numbers).key
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, UnsupportedAlgorithm):
        return None
    if kind == "RSA" and material.key_size < MIN_RSA_BITS:
        return None
    return Key(kid, material, algorithm)
