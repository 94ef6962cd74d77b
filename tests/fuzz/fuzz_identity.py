"""Fuzz targets for what decides who calls and what is served: tokens, an issuer's keys, and model cards.

    nice -n 19 .venv/bin/python tests/fuzz/fuzz_identity.py jwt -runs=200000

Targets: ``jwt``, ``jwks``, ``cards``; the other arguments are libFuzzer's. Seeds are written to `.local/fuzz`. A
target fails on any exception that its reader does not promise, and on a message that is not a single short line.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "authorizer"), str(ROOT / "function")]
os.environ |= {"LOUPE_JWT_ISSUER": "https://id.example", "LOUPE_JWT_AUDIENCE": "pictures"}

import atheris  # noqa: E402 (after the path and the settings that the authorizer reads)

with atheris.instrument_imports(include=["authorize", "issuer", "documents", "owners", "jwt", "loupe"]):
    import authorize
    import documents
    import issuer
    import jwt
    from loupe.card import CardError, card_json, parse_card

from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from folders import empty_folder, seed_folder  # noqa: E402

KEY = ec.generate_private_key(ec.SECP256R1())
GOOD = {**jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "good", "alg": "ES256"}
SIGNER = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
METHOD = "arn:aws:execute-api:r:1:api/live/GET/v1/models"
LONGEST_MESSAGE = 1000
CARD = empty_folder("identity-card")


class _Keys(issuer.Issuer):
    def _fetch(self, url: str) -> bytes:
        return json.dumps({"keys": [GOOD]}).encode()


authorize.ISSUER = _Keys("https://id.example", jwks_uri="https://id.example/k", cache_seconds=1e9, refetch_seconds=1e9)


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _line(message: str) -> None:
    assert message, "a message says something"
    assert len(message) < LONGEST_MESSAGE, message[:200]
    assert "\n" not in message, message[:200]


def fuzz_jwt(data: bytes) -> None:
    """Any text as a token, and any header and claims, signed with a good key: a policy or `UnauthorizedError`."""
    kind, rest = data[:1], data[1:]
    if kind in (b"", b"r"):
        token = rest.decode("latin-1")
    else:
        header, _, claims = rest.partition(b"\n")
        signed = f"{_encoded(header if kind == b'h' else json.dumps({'alg': 'ES256', 'kid': 'good'}).encode())}."
        signed += _encoded(claims if kind == b"h" else rest)
        token = f"{signed}.{_encoded(SIGNER.sign(signed.encode(), KEY))}"
    try:
        policy = authorize.handler({"authorizationToken": f"Bearer {token}", "methodArn": METHOD}, None)
    except authorize.UnauthorizedError:
        return
    assert kind not in (b"", b"r"), "only the holder of the key makes a good token"
    json.dumps(policy)
    assert policy["principalId"].isprintable()


def fuzz_jwks(data: bytes) -> None:
    """Any document: keys or `IssuerError`, and a good key beside the odd ones stays good."""
    try:
        entries = documents.json_object(data, "https://id.example/keys").get("keys")
    except documents.IssuerError as error:
        _line(str(error))
        return
    if not isinstance(entries, list):
        return
    odd = [entry for entry in entries[:50] if not (isinstance(entry, dict) and entry.get("kid") == "good")]
    assert "good" in issuer.public_keys([*odd, GOOD])


def fuzz_cards(data: bytes) -> None:
    """Any ``card.json``: a card or a `CardError`."""
    (CARD / "card.json").write_bytes(data)
    try:
        card = parse_card(card_json(CARD), CARD)
    except CardError as error:
        _line(str(error))
        return
    assert card.graph in {file.path for file in card.files}
    assert not any(path.startswith("/") or ".." in path.split("/") for path in
                   [file.path for file in card.files] + [case.image for case in card.golden])  # fmt: skip


def _seeds(name: str) -> list[bytes]:
    claims = {"iss": "https://id.example", "aud": "pictures", "sub": "me", "exp": int(time.time()) + 10**6}
    if name == "jwt":
        header, body = json.dumps({"alg": "ES256", "kid": "good"}), json.dumps(claims)
        rich = json.dumps(
            {**claims, "nbf": 1, "iat": 1.5, "scope": "a b", "scp": ["a"], "azp": "x", "aud": ["pictures"]}
        )
        return [f"h{header}\n{body}".encode(), f"c{body}".encode(), f"c{rich}".encode(), b"ra.b.c",
                f"r{_encoded(header.encode())}.{_encoded(body.encode())}.AA".encode()]  # fmt: skip
    if name == "jwks":
        keys: list[Any] = [
            {**GOOD, "kid": "other"}, {"kty": []}, {"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB", "use": "sig"},
            {"kty": "OKP", "kid": "o", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        ]  # fmt: skip
        return [json.dumps({"keys": keys}).encode(), *(json.dumps({"keys": [key]}).encode() for key in keys)]
    return [path.read_bytes() for path in sorted((ROOT / "models").glob("*/card.json"))]


TARGETS: dict[str, Callable[[bytes], None]] = {"jwt": fuzz_jwt, "jwks": fuzz_jwks, "cards": fuzz_cards}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"Name a target: {', '.join(TARGETS)}.")
    name = sys.argv.pop(1)
    seeds = seed_folder(f"identity-{name}", _seeds(name))
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (the authorizer's log, for as long as the process lives)
    atheris.Setup([*sys.argv, str(seeds)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
