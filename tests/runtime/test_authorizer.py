"""The JWT authorizer in the real Lambda runtime emulator: tokens signed here, keys served here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from localcloud.state import PROJECT

if TYPE_CHECKING:
    from conftest import Start

    from localcloud.environment import ExecutionEnvironment

AUDIENCE = "https://pictures.example"
METHOD = "arn:aws:execute-api:eu-central-1:123456789012:abc123/live/POST/v1/classify"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)
EC = ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}


@dataclass
class Site:
    """An OpenID issuer: discovery document and keys, and the requests for them."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    body: bytes | None = None
    status: int = 200
    location: str = ""
    claimed: str = ""
    requests: list[str] = field(default_factory=list)

    def answer(self, path: str) -> bytes:
        self.requests.append(path)
        if path == "/.well-known/openid-configuration":
            return json.dumps({"issuer": self.claimed or self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        return json.dumps({"keys": self.keys}).encode() if self.body is None else self.body

    @property
    def fetches(self) -> int:
        return self.requests.count("/keys")


@pytest.fixture
def site() -> Iterator[Site]:
    issuer_site = Site(keys=[jwk(RSA, "rsa"), jwk(EC, "ec", alg="ES256"), jwk(RSA, "only-384", alg="RS384")])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = issuer_site.answer(self.path)
            self.send_response(issuer_site.status)
            if issuer_site.location:
                self.send_header("Location", issuer_site.location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer_site.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield issuer_site
        server.shutdown()
        thread.join()


@dataclass
class Authorizer:
    """A started authorizer of one issuer."""

    environment: ExecutionEnvironment
    site: Site
    output: list[str] = field(default_factory=list)

    def __call__(self, authorization: str) -> dict[str, Any]:
        event = {"type": "TOKEN", "authorizationToken": authorization, "methodArn": METHOD}
        outcome = self.environment.invoke(json.dumps(event).encode(), "request")
        self.output += outcome.output
        answer: dict[str, Any] = json.loads(outcome.payload)
        return answer

    def token(
        self, key: Any = RSA, kid: str | None = "rsa", algorithm: str = "RS256", without: str = "", **claims: Any
    ) -> str:
        now = int(time.time())
        good = {
            "iss": self.site.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "nbf": now, "exp": now + 300,
            "scope": "classify read",
        }  # fmt: skip
        merged = {name: value for name, value in {**good, **claims}.items() if name != without}
        return jwt.encode(merged, key, algorithm=algorithm, headers={} if kid is None else {"kid": kid})

    def effect(self, **token: Any) -> str:
        """Return ``Allow`` or ``Deny``, or the error message of the runtime."""
        answer = self(f"Bearer {self.token(**token)}")
        if "errorMessage" in answer:
            return str(answer["errorMessage"])
        (statement,) = answer["policyDocument"]["Statement"]
        return str(statement["Effect"])


Authorizers = Callable[..., Authorizer]


@pytest.fixture
def authorizers(start: Start, site: Site) -> Authorizers:
    def authorizer(**variables: str) -> Authorizer:
        settings = {
            "ISSUER": site.url, "AUDIENCE": AUDIENCE, "SCOPES": "classify", "LEEWAY_SECONDS": "5",
            "REFETCH_SECONDS": "3600", "ALLOW_HTTP": "true", **variables,
        }  # fmt: skip
        environment = start(
            PROJECT / "authorizer",
            10,
            {f"LOUPE_JWT_{name}": value for name, value in settings.items()},
            "authorize.handler",
        )
        return Authorizer(environment, site)

    return authorizer


def test_valid_token_is_authorized_for_the_whole_stage(authorizers: Authorizers) -> None:
    authorizer = authorizers()
    answer = authorizer(f"Bearer {authorizer.token(client_id='app')}")
    assert answer == {
        "principalId": "alice",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": "arn:aws:execute-api:eu-central-1:123456789012:abc123/live/*",
                }
            ],
        },
        "context": {
            "sub": "alice",
            "client_id": "app",
            "scope": "classify read",
            "owner": hashlib.sha256(b"sub:alice").hexdigest(),
        },
    }
    assert authorizer.effect(key=EC, kid="ec", algorithm="ES256") == "Allow"
    assert authorizer.site.fetches == 1


def _hmac_with_the_public_key(site: Site) -> str:
    """HS256, its secret the issuer's public key: a library that trusts `alg` of the header accepts it."""
    now = int(time.time())
    parts = [
        {"alg": "HS256", "typ": "JWT", "kid": "rsa"},
        {"iss": site.url, "aud": AUDIENCE, "sub": "mallory", "exp": now + 300, "scope": "classify"},
    ]
    signed = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    secret = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def test_invalid_token_is_unauthorized(authorizers: Authorizers, site: Site) -> None:
    authorizer = authorizers()
    now = int(time.time())
    bad: dict[str, dict[str, Any]] = {
        "expired": {"exp": now - 60, "nbf": now - 600, "iat": now - 600},
        "not yet valid": {"nbf": now + 600},
        "issued in the future": {"iat": now + 600},
        "wrong audience": {"aud": "https://other.example"},
        "no audience": {"without": "aud"},
        "wrong issuer": {"iss": "https://evil.example"},
        "no issuer": {"without": "iss"},
        "no end": {"without": "exp"},
        "names nobody": {"without": "sub"},
        "alg none": {"key": None, "algorithm": "none"},
        "unknown key id": {"kid": "other"},
        "no key id": {"kid": None},
        "a stranger's key": {"key": STRANGER},
        "an algorithm that is not allowed": {"algorithm": "RS512"},
        "an algorithm of another kind of key": {"kid": "rsa", "key": EC, "algorithm": "ES256"},
        "an algorithm that is not the key's": {"kid": "only-384"},
    }
    assert {name: authorizer.effect(**token) for name, token in bad.items()} == dict.fromkeys(bad, "Unauthorized")
    assert authorizer(f"Bearer {_hmac_with_the_public_key(site)}")["errorMessage"] == "Unauthorized"
    good = authorizer.token()
    head, body, signature = good.split(".")
    changed = base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(body + "==").replace(b'"alice"', b'"admin"')
    ).rstrip(b"=")  # fmt: skip
    for garbage in (
        "", "Bearer", "Bearer ", good, f"Basic {good}", f"Bearer {good} {good}", "Bearer a.b.c", "Bearer ..",
        f"Bearer {head}.{body}.", f"Bearer {head}.{changed.decode()}.{signature}", "Bearer " + "a" * 20_000,
        "Bearer \u00e9\U0001f600.\x00.\n", f"Bearer {base64.urlsafe_b64encode(b'[1]').decode()}.{body}.{signature}",
    ):  # fmt: skip
        assert authorizer(garbage)["errorMessage"] == "Unauthorized", garbage
    assert authorizer.effect() == "Allow"
    assert site.fetches == 1
    # Neither tokens nor parts of them are in the log.
    log = "\n".join(authorizer.output)
    assert "unauthorized: ExpiredSignatureError" in log
    assert not [part for part in (head, body, signature, "alice") if part in log]


def test_within_the_leeway_clocks_may_differ(authorizers: Authorizers) -> None:
    now = int(time.time())
    assert authorizers(LEEWAY_SECONDS="60").effect(exp=now - 20, nbf=now + 20) == "Allow"


@pytest.mark.parametrize(
    ("claims", "effect"),
    [
        ({"scope": "read"}, "Deny"),
        ({"scope": "classifyx"}, "Deny"),
        ({"without": "scope"}, "Deny"),
        ({"without": "scope", "scp": ["read", "classify"]}, "Allow"),
        ({"without": "scope", "scp": "read classify"}, "Allow"),
        ({"tenant": "other"}, "Deny"),
        ({"tenant": ["acme", "other"]}, "Allow"),
        ({"without": "tenant"}, "Deny"),
    ],
    ids=str,
)
def test_required_scopes_and_claims(authorizers: Authorizers, claims: dict[str, Any], effect: str) -> None:
    authorizer = authorizers(CLAIMS='{"tenant": "acme"}')
    assert authorizer.effect(**{"tenant": "acme", **claims}) == effect


def test_keys_rotate(authorizers: Authorizers, site: Site) -> None:
    authorizer = authorizers(REFETCH_SECONDS="0")
    assert authorizer.effect() == "Allow"
    site.keys = [jwk(STRANGER, "new")]
    assert authorizer.effect(key=STRANGER, kid="new") == "Allow"
    # The old key was removed with the old list.
    assert authorizer.effect() == "Unauthorized"


def test_unknown_key_ids_do_not_cause_repeated_fetches(authorizers: Authorizers, site: Site) -> None:
    authorizer = authorizers()
    assert authorizer.effect() == "Allow"
    for number in range(20):
        assert authorizer.effect(kid=f"made-up-{number}") == "Unauthorized"
    assert site.fetches == 1


def test_cached_keys_are_used_while_the_issuer_is_down(authorizers: Authorizers, site: Site) -> None:
    authorizer = authorizers(CACHE_SECONDS="0", REFETCH_SECONDS="0")
    assert authorizer.effect() == "Allow"
    site.status = 503
    assert authorizer.effect() == "Allow"
    assert authorizer.effect(key=STRANGER) == "Unauthorized"
    assert site.requests.count("/.well-known/openid-configuration") >= 3


def test_without_keys_it_fails_with_a_clear_message_and_recovers(authorizers: Authorizers, site: Site) -> None:
    authorizer = authorizers(REFETCH_SECONDS="0")
    site.status = 503
    answer = authorizer(f"Bearer {authorizer.token()}")
    assert answer["errorType"] == "IssuerError"
    assert answer["errorMessage"] == f"{site.url}/.well-known/openid-configuration answered 503"
    site.status = 200
    assert authorizer.effect() == "Allow"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"body": b" " * 300_000}, "is larger than 262144 bytes"),
        ({"body": b"<html>"}, "is not JSON"),
        ({"body": b"[]"}, "is not a JSON object"),
        ({"body": b"{}"}, "has no list of keys"),
        ({"keys": []}, "has no key for signatures"),
        ({"keys": [jwk(RSA, "rsa", use="enc")]}, "has no key for signatures"),
        ({"keys": [{"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"}]}, "has no key for signatures"),
        ({"keys": [jwk(WEAK, "rsa")]}, "has no key for signatures"),
        ({"claimed": "https://other.example"}, "is of the issuer 'https://other.example'"),
        ({"status": 302, "location": "/elsewhere"}, "answered 302"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unavailable_keys_raises_a_clear_message(
    authorizers: Authorizers, site: Site, change: dict[str, Any], sentence: str
) -> None:
    for name, value in change.items():
        setattr(site, name, value)
    assert sentence in authorizers().effect()
    assert "/elsewhere" not in site.requests


def test_invalid_key_does_not_affect_the_others(authorizers: Authorizers, site: Site) -> None:
    site.keys = [{"kty": "RSA", "kid": "broken", "n": "!", "e": "!"}, 7, {"kty": "EC", "kid": 5}, *site.keys]  # type: ignore[list-item]
    assert authorizers().effect() == "Allow"


def test_configured_jwks_uri_needs_no_discovery(authorizers: Authorizers, site: Site) -> None:
    assert authorizers(JWKS_URI=f"{site.url}/keys").effect() == "Allow"
    assert site.requests == ["/keys"]


@pytest.mark.parametrize(
    "variables", [{"ALLOW_HTTP": ""}, {"ISSUER": "file:///etc/passwd"}, {"ISSUER": "http://x.example"}]
)
def test_keys_are_fetched_over_https_only(authorizers: Authorizers, site: Site, variables: dict[str, str]) -> None:
    assert authorizers(**variables).effect().endswith("is not https")
    assert site.requests == []


@pytest.mark.parametrize(
    "variables",
    [{"ALGORITHMS": "HS256"}, {"ALGORITHMS": "none"}, {"AUDIENCE": ""}, {"CACHE_SECONDS": "soon"}, {"CLAIMS": "x"}],
    ids=str,
)
def test_invalid_settings_stop_the_cold_start(authorizers: Authorizers, variables: dict[str, str]) -> None:
    assert f"LOUPE_JWT_{next(iter(variables))}" in authorizers(**variables).effect()
