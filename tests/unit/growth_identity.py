"""Readers of tokens, of an issuer's keys, and of model cards."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from documents import MAX_BYTES, IssuerError, json_object
from growth import Reader, repeated
from issuer import Issuer
from loupe.card import CardError, parse_card

AUTHORIZER = Path(__file__).parents[2] / "authorizer"
ISSUER = "https://id.example"


def _authorizer() -> Any:
    """Load the authorizer under a name of its own: it reads its settings when it is imported."""
    name = "authorize_of_growth_tests"
    spec = importlib.util.spec_from_file_location(name, AUTHORIZER / "authorize.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("LOUPE_JWT_ISSUER", ISSUER)
        variables.setenv("LOUPE_JWT_AUDIENCE", "pictures")
        spec.loader.exec_module(module)
    return module


AUTHORIZE = _authorizer()


class _Keys(Issuer):
    """An issuer that answers what it is given."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(ISSUER, jwks_uri=f"{ISSUER}/keys", cache_seconds=600, refetch_seconds=30)
        self._answer = answer

    def _document(self, url: str) -> Mapping[str, Any]:
        with patch("documents.fetch", return_value=self._answer):
            return json_object(url, allow_http=False)


AUTHORIZE.ISSUER = _Keys(b'{"keys": []}')


def _authorized(token: str) -> object:
    arn = "arn:aws:execute-api:r:1:api/live/GET/v1/models"
    return AUTHORIZE.handler({"authorizationToken": f"Bearer {token}", "methodArn": arn}, None)


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _many_keys(size: int) -> bytes:
    entry = {"kty": "EC", "crv": "P-256", "kid": "a", "x": "A" * 43, "y": "A" * 43}
    return json.dumps({"keys": [entry] * (size // 150)}).encode()


READERS = (
    Reader(
        "JWT",
        ("authorize:handler", "authorize:verified"),
        _authorized,
        {
            "letters": repeated("A"),
            "dots": repeated("."),
            "a long header": lambda size: _part({"alg": "RS256", "kid": "k" * size}) + ".e30.AA",
            "many header fields": lambda size: (
                _part({"alg": "RS256", "kid": "k", **dict.fromkeys(map(str, range(size // 12)), 1)}) + ".e30.AA"
            ),
            "a long payload": lambda size: _part({"alg": "RS256", "kid": "k"}) + "." + "A" * size + ".AA",
            "white space": repeated(" "),
        },
        5.0,
        (AUTHORIZE.UnauthorizedError, IssuerError),
        largest=65_536,
    ),
    Reader(
        "JWKS",
        ("issuer:Issuer.key", "issuer:public_keys"),
        lambda answer: _Keys(answer).key("a"),
        {
            "many keys": _many_keys,
            "a long modulus": lambda size: json.dumps(
                {"keys": [{"kty": "RSA", "kid": "a", "e": "AQAB", "n": "A" * min(size, 4096)}]}
            ).encode(),
            "a long key id": lambda size: json.dumps({"keys": [{"kty": "EC", "kid": "k" * size}]}).encode(),
            "empty entries": repeated(b"{},", b'{"keys": [', b"{}]}"),
            "no JSON": repeated(b"x"),
            "nested lists": repeated(b"["),
            "one key id": repeated(b'{"kid": "a"},', b'{"keys": [', b"{}]}"),
        },
        20.0,
        (IssuerError,),
        largest=MAX_BYTES,
    ),
    Reader(
        "cards",
        ("loupe.card:parse_card",),
        lambda text: parse_card(json.loads(text), Path("model")),
        {
            "many unknown keys": lambda size: json.dumps(dict.fromkeys(map(str, range(size // 12)), 1)),
            "a long name": lambda size: json.dumps({"schema_version": 1, "name": "a" * size}),
            "a long version": lambda size: json.dumps({"schema_version": 1, "name": "a", "version": "1." * size}),
        },
        3.0,
        (CardError,),
    ),
)
