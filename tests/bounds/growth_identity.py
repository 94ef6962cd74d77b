"""Readers of tokens, of an issuer's keys, and of model cards."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from documents import MAX_BYTES, IssuerError
from growth import Reader, repeated
from issuer import Issuer
from loupe.card import CardError, card_json, parse_card

AUTHORIZER = Path(__file__).parents[2] / "authorizer"
ISSUER = "https://id.example"


def _authorizer() -> Any:
    """Load the authorizer under a unique module name: it reads its settings when it is imported."""
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

    def _fetch(self, url: str) -> bytes:
        return self._answer


AUTHORIZE.ISSUER = _Keys(b'{"keys": []}')


def _authorized(token: str) -> object:
    arn = "arn:aws:execute-api:r:1:api/live/GET/v1/models"
    return AUTHORIZE.handler({"authorizationToken": f"Bearer {token}", "methodArn": arn}, None)


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


_EC = {"kty": "EC", "crv": "P-256", "kid": "a", "x": "A" * 43, "y": "A" * 43}


def _many_keys(size: int) -> bytes:
    return json.dumps({"keys": [{**_EC, "kid": str(number)} for number in range(size // 150)]}).encode()


def _card_file(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "card.json").write_bytes(data)
        return parse_card(card_json(Path(folder)), Path(folder))


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
            "a deep header": lambda size: base64.urlsafe_b64encode(b"[" * (size * 3 // 4)).decode() + ".e30.AA",
        },
        5.0,
        (AUTHORIZE.UnauthorizedError, IssuerError),
        largest=65_536,
    ),
    Reader(
        "JWKS",
        ("issuer:Issuer.key", "documents:json_object", "issuer:public_keys"),
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
            "keys with one id": lambda size: json.dumps({"keys": [_EC] * (size // 150)}).encode(),
            "keys without a kind": repeated(b'{"kty": []},', b'{"keys": [', b"{}]}"),
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
    Reader(
        "cards",
        ("loupe.card:card_json", "loupe.card:load_card"),
        _card_file,
        {
            "deep lists": repeated(b"["),
            "deep objects": repeated(b'{"a":'),
            "wide": repeated(b"[[]],", b"[", b"0]"),
            "deep within the bound": repeated(b"[" * 30 + b"]" * 30 + b",", b"[", b"0]"),
            "no JSON": repeated(b"x"),
        },
        3.0,
        (CardError,),
    ),
)
