"""The authorizer's entry point: turn the token of an Authorization header into a policy for the API, or a 401.

Nothing of a token is logged; the reason of a rejection is logged in a few words.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from documents import IssuerError
from issuer import ASYMMETRIC, Issuer
from owners import Value, conflict, satisfies

# API Gateway accepts headers of 10 240 bytes in total.
MAX_TOKEN = 10_240
_NOT_PLAIN = re.compile(r'[^\x20-\x7e]|["\\]')


class UnauthorizedError(Exception):
    """API Gateway responds with 401 to an exception with exactly this message."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class RejectedError(Exception):
    """A token that does not authenticate the client. The message is the reason and contains nothing of the token."""


@dataclass(frozen=True)
class Rules:
    """Requirements for a token.

    Attributes
    ----------
    scopes
        All of them are required.
    claims
        Claims with their required values; see `owners.satisfies`.
    """

    issuer: str
    audience: tuple[str, ...]
    algorithms: tuple[str, ...]
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Value] = field(default_factory=dict)
    leeway_seconds: float = 0.0


def verified(token: str, rules: Rules, issuer: Issuer) -> dict[str, Any]:
    """Verify a token's signature, times, issuer and audience, and return its claims.

    Raises
    ------
    RejectedError
        If it is not valid.
    IssuerError
        If no keys are available to verify it.
    """
    if len(token) > MAX_TOKEN:
        raise RejectedError("too long")
    try:
        header = jwt.get_unverified_header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        # Algorithms are configured, never taken from the token: no `none`, no HMAC with a public key as its secret.
        if algorithm not in rules.algorithms:
            raise RejectedError("algorithm not allowed")
        if not isinstance(kid, str) or not kid:
            raise RejectedError("no key id")
        key = issuer.key(kid)
        if key is None:
            raise RejectedError("unknown key")
        if key.algorithm not in (None, algorithm):
            raise RejectedError("not the key's algorithm")
        claims: dict[str, Any] = jwt.decode(
            token,
            key.material,
            algorithms=[algorithm],
            audience=rules.audience,
            issuer=rules.issuer,
            leeway=rules.leeway_seconds,
            options={"require": ["exp", "iss", "aud"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise RejectedError(type(error).__name__) from None
    return claims


def allowed(claims: Mapping[str, Any], rules: Rules) -> bool:
    """Whether the claims have the required scopes and values."""
    granted = {scope for name in ("scope", "scp") for scope in _words(claims.get(name))}
    return rules.scopes <= granted and all(
        name in claims and satisfies(value, claims[name]) for name, value in rules.claims.items()
    )


def policy(claims: Mapping[str, Any], method_arn: str, *, allow: bool) -> dict[str, Any]:
    """Return API Gateway's authorizer response, for the whole stage, because it is cached for other methods too.

    Raises
    ------
    RejectedError
        If the token names no principal.
    """
    subject, client = (_plain(claims.get(name)) for name in ("sub", "client_id"))
    client = client or _plain(claims.get("azp"))
    principal = subject or client
    if not principal:
        raise RejectedError("names nobody")
    api, stage = method_arn.split("/")[:2]
    scope = " ".join(sorted({scope for name in ("scope", "scp") for scope in _words(claims.get(name))}))
    context = {"sub": subject, "client_id": client, "scope": _plain(scope), "owner": _owner(claims)}
    return {
        "principalId": principal,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow" if allow else "Deny",
                    "Resource": f"{api}/{stage}/*",
                }
            ],
        },
        "context": {name: value for name, value in context.items() if value},
    }


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Authorize one request of API Gateway (a TOKEN authorizer's event), and annotate its trace if it is sampled.

    See `authorize` for the exceptions.
    """
    if "Sampled=1" not in os.environ.get("_X_AMZN_TRACE_ID", ""):
        return authorize(event)
    import segments

    return segments.traced(authorize, event)


def authorize(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy for the token of an event.

    Raises
    ------
    UnauthorizedError
        For a token that is not valid: 401.
    IssuerError
        If the issuer's keys are unavailable: 500.
    """
    with _FaultCount():
        try:
            scheme, _, token = str(event.get("authorizationToken", "")).partition(" ")
            if scheme.lower() != "bearer":
                raise RejectedError("not a bearer token")
            claims = verified(token.strip(), RULES, ISSUER)
            allow = allowed(claims, RULES)
            response = policy(claims, event["methodArn"], allow=allow)
        except RejectedError as rejection:
            _log("INFO", f"unauthorized: {rejection}")
            raise UnauthorizedError from None
        except IssuerError as error:
            _log("ERROR", str(error))
            raise
    if not allow:
        _log("INFO", "forbidden: a scope or claim is missing")
    return response


class _FaultCount:
    """Counts an exception that leaves the block, unless it is a rejected token; the runtime logs it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, UnauthorizedError):
            _count_fault()


def configured(variables: Mapping[str, str]) -> tuple[Rules, Issuer]:
    """Parse the environment variables.

    Raises
    ------
    ValueError
        With a sentence that names the variable.
    """

    def words(name: str) -> tuple[str, ...]:
        return tuple(variables.get(f"LOUPE_JWT_{name}", "").split())

    def number(name: str, default: str) -> float:
        try:
            value = float(variables.get(f"LOUPE_JWT_{name}", default))
        except ValueError:
            value = -1.0
        if not 0 <= value <= 86_400:
            raise ValueError(f"LOUPE_JWT_{name} must be a number of seconds, at most a day.")
        return value

    rules = Rules(
        issuer=variables.get("LOUPE_JWT_ISSUER", ""),
        audience=words("AUDIENCE"),
        algorithms=words("ALGORITHMS") or ("RS256", "ES256"),
        scopes=frozenset(words("SCOPES")),
        claims=_required_claims(variables.get("LOUPE_JWT_CLAIMS", "{}")),
        leeway_seconds=number("LEEWAY_SECONDS", "30"),
    )
    if not rules.issuer or not rules.audience:
        raise ValueError("LOUPE_JWT_ISSUER and LOUPE_JWT_AUDIENCE must be set.")
    if not all(map(ASYMMETRIC.fullmatch, rules.algorithms)):
        raise ValueError("LOUPE_JWT_ALGORITHMS must be of RS256, PS256, ES256, their 384 and 512, and EdDSA.")
    if sentence := conflict(rules.issuer, rules.claims, rules.scopes):
        raise ValueError(f"LOUPE_JWT_CLAIMS and LOUPE_JWT_SCOPES cannot be used with this issuer: {sentence}.")
    issuer = Issuer(
        rules.issuer,
        jwks_uri=variables.get("LOUPE_JWT_JWKS_URI", ""),
        cache_seconds=number("CACHE_SECONDS", "600"),
        refetch_seconds=number("REFETCH_SECONDS", "30"),
        allow_http=variables.get("LOUPE_JWT_ALLOW_HTTP") == "true",
    )
    return rules, issuer


def _required_claims(text: str) -> dict[str, Value]:
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict) or not all(
        name and isinstance(value, (str, bool, int, float)) and value != "" and value == value
        for name, value in claims.items()
    ):
        raise ValueError("LOUPE_JWT_CLAIMS must be a JSON object of texts, numbers, true and false.")
    return claims


def _words(value: Any) -> list[str]:
    """Return scopes given as text with spaces between them (RFC 8693) or as a list."""
    return value.split() if isinstance(value, str) else [item for item in _listed(value) if isinstance(item, str)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _owner(claims: Mapping[str, Any]) -> str:
    """Return a digest of the principal's unchanged claim: `_plain` maps different principals to one text."""
    for name, value in (
        ("sub", claims.get("sub")),
        ("client_id", claims.get("client_id")),
        ("client_id", claims.get("azp")),
    ):
        if isinstance(value, str) and value:
            return hashlib.sha256(f"{name}:{value}".encode("utf-8", "surrogatepass")).hexdigest()
    return ""


def _plain(value: Any) -> str:
    """Return a text that is safe in a log line and in a header."""
    return _NOT_PLAIN.sub("_", value)[:256] if isinstance(value, str) else ""


def _log(level: str, message: str) -> None:
    sys.stdout.write(json.dumps({"level": level, "message": message}) + "\n")


def _count_fault() -> None:
    """Emit the metric of the alarm AuthorizerFaults, in CloudWatch's embedded metric format.

    Lambda's Errors count rejected tokens too.
    """
    metric = {"Name": "AuthorizerFaults", "Unit": "Count"}
    directive = {"Namespace": "Loupe", "Dimensions": [["Environment"]], "Metrics": [metric]}
    metadata = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    values = {"Environment": os.environ.get("LOUPE_ENVIRONMENT") or "unknown", "AuthorizerFaults": 1}
    sys.stdout.write(json.dumps({"_aws": metadata, **values}) + "\n")


RULES, ISSUER = configured(os.environ)
