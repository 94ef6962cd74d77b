"""The authorizer: how long keys are cached, how often they are fetched, and arbitrary tokens."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import os
import time
from typing import Any

import jwt
import pytest
import segments
from cryptography.hazmat.primitives.asymmetric import ec
from documents import IssuerError
from hypothesis import given
from hypothesis import strategies as st
from issuer import RETRY_SECONDS, STALE_SECONDS, Issuer

from infra.components.metrics import AUTHORIZER_FAULTS, NAMESPACE
from localcloud.emf import metric_data

ISSUER = "https://id.example"
KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(kid: str) -> dict[str, Any]:
    return {**jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": kid}


class Source:
    """An issuer with a fake clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.fetches, self.kids, self.down = 1000.0, 0, ["one"], False
        monkeypatch.setattr(Issuer, "_fetch", lambda _, url: self.fetch(url))
        self.issuer = Issuer(
            ISSUER, jwks_uri=f"{ISSUER}/keys", cache_seconds=600, refetch_seconds=30, clock=lambda: self.now
        )

    def fetch(self, url: str) -> bytes:
        self.fetches += 1
        if self.down:
            raise IssuerError(f"{url} cannot be fetched: timed out")
        return json.dumps({"keys": [jwk(kid) for kid in self.kids]}).encode()

    def has_key(self, kid: str = "one") -> bool:
        return self.issuer.key(kid) is not None


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    return Source(monkeypatch)


def test_keys_are_cached_and_refetched_once_after_expiry(source: Source) -> None:
    for now in (1000, 1300, 1599):
        source.now = now
        assert source.has_key()
    assert source.fetches == 1
    source.now = 1600
    assert source.has_key()
    assert source.fetches == 2


def test_unknown_key_refetches_at_most_every_thirty_seconds(source: Source) -> None:
    assert source.has_key()
    source.kids = ["one", "two"]
    results = []
    for now in (1001, 1029, 1030, 1031, 1059):
        source.now = now
        results.append((source.has_key("three"), source.fetches))
    assert results == [(False, 1), (False, 1), (False, 2), (False, 2), (False, 2)]
    assert source.has_key("two")


def test_revoked_key_expires_with_the_cache(source: Source) -> None:
    assert source.has_key()
    source.kids = ["two"]
    source.now += 599
    assert source.has_key()
    source.now += 1
    assert not source.has_key()


def test_expired_keys_are_used_for_an_hour_of_outage_and_no_longer(source: Source) -> None:
    assert source.has_key()
    source.down = True
    source.now = 1000 + 600 + STALE_SECONDS - 1
    assert source.has_key()
    # During an outage keys are not fetched for every request.
    before = source.fetches
    assert source.has_key()
    assert source.fetches == before
    source.now += 40
    with pytest.raises(IssuerError, match=r"^https://id\.example/keys cannot be fetched: timed out$"):
        source.has_key()
    source.down = False
    source.now += RETRY_SECONDS
    assert source.has_key()


def test_without_keys_fetching_is_retried_soon(source: Source) -> None:
    source.down = True
    for _ in range(3):
        with pytest.raises(IssuerError, match="timed out"):
            source.has_key()
    assert source.fetches == 1
    source.down = False
    source.now += RETRY_SECONDS
    assert source.has_key()


@pytest.fixture(scope="module")
def authorize() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOUPE_JWT_ISSUER", ISSUER)
        patch.setenv("LOUPE_JWT_AUDIENCE", "pictures prints")
        module = importlib.import_module("authorize")
        # Another module of this process may have imported it with other variables.
        rules, _ = module.configured(os.environ)
        patch.setattr(module, "RULES", rules)
        patch.setattr(Issuer, "_fetch", lambda *_: json.dumps({"keys": [jwk("one")]}).encode())
        patch.setattr(module, "ISSUER", Issuer(ISSUER, jwks_uri=f"{ISSUER}/k", cache_seconds=1e9, refetch_seconds=1e9))
        yield module


def outcome(authorize: Any, authorization: Any) -> str:
    event = {"authorizationToken": authorization, "methodArn": "arn:aws:execute-api:r:1:api/live/GET/v1/models"}
    try:
        return str(authorize.handler(event, None)["policyDocument"]["Statement"][0]["Effect"])
    except authorize.UnauthorizedError as error:
        return str(error)


def test_a_sampled_trace_gets_the_same_response(authorize: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[str] = []
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-581cf771-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1")
    monkeypatch.setattr(segments, "_record", lambda _started, _end, code, _failure: recorded.append(code))
    assert outcome(authorize, "Bearer none") == "Unauthorized"
    assert recorded == ["unauthorized"]
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-581cf771-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=0")
    assert outcome(authorize, "Bearer none") == "Unauthorized"
    assert recorded == ["unauthorized"]


@pytest.mark.parametrize("failure", [IssuerError("https://id.example/keys answered 503"), RuntimeError("a defect")])
def test_a_token_that_cannot_be_checked_counts_as_a_fault(
    authorize: Any, failure: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise failure

    monkeypatch.setenv("LOUPE_ENVIRONMENT", "prod")
    monkeypatch.setattr(authorize, "verified", fail)
    with pytest.raises(type(failure)):
        outcome(authorize, "Bearer a.b.c")
    data = [datum for line in capsys.readouterr().out.splitlines() for datum in metric_data(line)]
    ((namespace, datum),) = data
    assert (namespace, datum["MetricName"], datum["Values"]) == (NAMESPACE, AUTHORIZER_FAULTS, [1.0])
    assert datum["Dimensions"] == [{"Name": "Environment", "Value": "prod"}]


@pytest.mark.parametrize("authorization", ["", "Basic abc", "Bearer a.b.c", "Bearer " + "a" * 20_000])
def test_a_rejected_token_is_no_fault(authorize: Any, authorization: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(authorize, authorization) == "Unauthorized"
    assert not [datum for line in capsys.readouterr().out.splitlines() for datum in metric_data(line)]


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.text())
def test_arbitrary_text_is_unauthorized(authorize: Any, text: str) -> None:
    for authorization in (text, f"Bearer {text}", f"Bearer {text}.{text}.{text}"):
        assert outcome(authorize, authorization) == "Unauthorized"


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "cty", "jwk", "x5u"]), JSON),
    st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "scope", "scp"]), JSON),
    st.sampled_from(["ES256", "RS256", "none", "HS256"]),
)
def test_unsigned_token_is_unauthorized(
    authorize: Any, header: dict[str, Any], claims: dict[str, Any], algorithm: str
) -> None:
    for head in (header, {**header, "alg": algorithm, "kid": "one"}):
        assert outcome(authorize, f"Bearer {encoded(head)}.{encoded(claims)}.c2ln") == "Unauthorized"


@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "scope", "scp", "azp", "client_id"]),
        JSON, min_size=1,
    )
)  # fmt: skip
def test_signed_token_with_any_claims_is_allowed_or_denied_and_never_fails(
    authorize: Any, changed: dict[str, Any]
) -> None:
    good = {"iss": ISSUER, "aud": ["prints"], "sub": "alice", "exp": int(time.time()) + 300}
    head, claims = encoded({"alg": "ES256", "kid": "one"}), encoded({**good, **changed})
    signed = f"{head}.{claims}"
    signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(signed.encode(), KEY)
    token = f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert outcome(authorize, f"Bearer {token}") in {"Allow", "Unauthorized"}
    if not set(changed) & {"iss", "aud", "exp", "nbf", "iat", "jti", "sub"}:
        assert outcome(authorize, f"Bearer {token}") == "Allow"


@pytest.mark.parametrize("deep", ["[" * 7000, '{"a":' * 1500, '{"alg":"ES256","kid":' + "[" * 7000])
def test_a_deeply_nested_token_is_unauthorized(authorize: Any, deep: str) -> None:
    part = base64.urlsafe_b64encode(deep.encode()).rstrip(b"=").decode()
    good = encoded({"alg": "ES256", "kid": "one"})
    for token in (f"{part}.{part}.c2ln", f"{good}.{part}.c2ln", f"{part}.e30.c2ln"):
        assert outcome(authorize, f"Bearer {token}") == "Unauthorized"


def test_principal_and_context_of_a_token_are_sanitized(authorize: Any) -> None:
    claims = {"sub": 'alice"}\n{"level": "ERROR\\', "azp": "app", "scope": "a b"}
    answer = authorize.policy(claims, "arn:aws:execute-api:r:1:api/live/GET/", allow=False)
    assert answer["principalId"] == "alice_}_{_level_: _ERROR_"
    owner = hashlib.sha256(b'sub:alice"}\n{"level": "ERROR\\').hexdigest()
    assert answer["context"] == {"sub": answer["principalId"], "client_id": "app", "scope": "a b", "owner": owner}
    assert answer["policyDocument"]["Statement"][0] == {
        "Action": "execute-api:Invoke",
        "Effect": "Deny",
        "Resource": "arn:aws:execute-api:r:1:api/live/*",
    }


def test_principals_that_are_equal_in_a_log_own_different_jobs(authorize: Any) -> None:
    arn = "arn:aws:execute-api:r:1:api/live/GET/"
    subjects = ("m\u00fcller", "m\u00f6ller", "m_ller", "CORP\\joe", "CORP_joe", "a" * 256, "a" * 257, "\ud800")
    owners = {authorize.policy({"sub": subject}, arn, allow=True)["context"]["owner"] for subject in subjects}
    # A client's id may be the subject of somebody else.
    owners.add(authorize.policy({"client_id": "m_ller"}, arn, allow=True)["context"]["owner"])
    assert len(owners) == len(subjects) + 1
