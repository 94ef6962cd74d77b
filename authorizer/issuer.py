"""The issuer's keys: fetched over HTTPS within bounds, kept, and fetched again when they age or rotate."""

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
# Only these are accepted: with a shared secret (HMAC), or with none, whoever can check a token can make one.
ASYMMETRIC = re.compile(r"(RS|PS|ES)(256|384|512)|EdDSA")
MAX_KEYS = 100
MAX_KID = 1024
# A number of a key in base64url: 16384 bits, beyond which OpenSSL verifies nothing.
MAX_NUMBER = 2731
MIN_RSA_BITS = 2048
# Keys that could not be fetched anew serve on for this long after their time.
STALE_SECONDS = 3600.0
# With no keys at all, every token fails: the issuer is asked again sooner.
RETRY_SECONDS = 2.0


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

    An entry that is something else, too weak or malformed leaves the others good. Of keys that share an id, none is
    used: which of them signs is not known.
    """
    keys = [key for entry in entries[:MAX_KEYS] if (key := _public_key(entry))]
    ids = Counter(key.kid for key in keys)
    return {key.kid: key for key in keys if ids[key.kid] == 1}


def _public_key(entry: Any) -> Key | None:
    """Read a key for signatures; None for anything else. HMAC's kind, ``oct``, is none."""
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
