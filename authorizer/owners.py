"""Required claims: how a token's value is compared, and which issuers need a claim that names an owner.

A shared issuer signs tokens for everybody with an account, and the holder of the token chooses its audience: only a
claim that names the owner distinguishes accounts. ``shared_issuers.json`` lists such issuers and the claims that name
an owner. `infra.token_owners` applies the same rules at synth; a test keeps both equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Value = str | bool | int | float
SEPARATORS = (":", "/")
_SERVICE_ACCOUNT = "system:serviceaccount:"
_SHARED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "shared_issuers.json").read_bytes())


def satisfies(required: Value, actual: Any) -> bool:
    """Whether a token's claim is the required value, or a list that contains it.

    Types are compared too: true is neither 1 nor ``"true"``. A text that ends with ``*`` requires the part before it.
    """
    return any(_equal(required, item) for item in (actual if isinstance(actual, list) else [actual]))


def _equal(required: Value, actual: Any) -> bool:
    if isinstance(required, bool) or isinstance(actual, bool):
        return required is actual
    if isinstance(required, str):
        if not isinstance(actual, str):
            return False
        prefix = required.removesuffix("*")
        return actual == required if prefix == required else len(actual) > len(prefix) and actual.startswith(prefix)
    return isinstance(actual, (int, float)) and actual == required


def conflict(issuer: str, claims: Mapping[str, Value], scopes: Collection[str]) -> str | None:
    """Return why an issuer's tokens cannot be accepted with these claims and scopes, or None."""
    shared = next((entry for entry in _SHARED if re.fullmatch(entry["issuers"], _normal(issuer))), None)
    owners: Mapping[str, str] = shared["owners"] if shared else {}
    for name, value in claims.items():
        if isinstance(value, str) and not _wildcard_allowed(value, owners.get(name)):
            return (
                f"claims.{name} is {value!r}: a * may only stand at the end, behind an owner and a separator, as in "
                "repo:my-org/my-repo:*"
            )
    if shared is None or (shared["scopes"] and scopes):
        return None
    if not owners:
        return f"{shared['name']} issues no tokens under this issuer: use the one of your tenant"
    if any(isinstance(claims.get(name), str) and re.match(owners[name], str(claims[name])) for name in owners):
        return None
    return (
        f"{shared['name']}: {shared['who']} can get a token for any audience. claims must name the owner, by one of "
        f"{', '.join(owners)}{' (or scopes)' if shared['scopes'] else ''}; for example {json.dumps(shared['example'])}"
    )


def _wildcard_allowed(value: str, owner: str | None) -> bool:
    prefix = value.removesuffix("*")
    if "*" in prefix:
        return False
    if prefix == value:
        return True
    if not prefix.endswith(SEPARATORS):
        return False
    if owner is not None:
        return re.match(owner, value) is not None
    least = 3 if prefix.startswith(_SERVICE_ACCOUNT) else 2
    return len([part for part in re.split("[:/]", prefix) if part]) >= least


def _normal(issuer: str) -> str:
    """Return the issuer in the form of the patterns: lower-case host, no default port, no slash at the end."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(':443')}{parts.path.rstrip('/')}"
