"""Shared token issuers: the claims and scopes that mode `jwt` needs to exclude other accounts of the issuer.

`authorizer/shared_issuers.json` lists the issuers and the claims that name an owner. `authorizer/owners.py` applies the
same rules again when the authorizer starts; tests/infra/test_token_owners.py holds the two equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from infra.paths import SHIPPED

Claim = str | bool | int | float
TABLE = SHIPPED / "authorizer" / "shared_issuers.json"
_KUBERNETES = "system:serviceaccount:"


@cache
def shared_issuers() -> tuple[dict[str, Any], ...]:
    """Return the known shared issuers: name, pattern, who gets tokens, claims that name an owner, an example."""
    return tuple(json.loads(TABLE.read_bytes()))


def conflict(issuer: str, claims: Mapping[str, Claim], scopes: Collection[str]) -> str | None:
    """Return why these claims and scopes do not identify an owner of the issuer's tokens, or None."""
    address = urlsplit(issuer)
    normal = f"{address.scheme}://{address.netloc.lower().removesuffix(':443')}{address.path.rstrip('/')}"
    shared = next((entry for entry in shared_issuers() if re.fullmatch(entry["issuers"], normal)), None)
    owners: dict[str, str] = shared["owners"] if shared else {}
    texts = {name: value for name, value in claims.items() if isinstance(value, str)}
    for name, value in texts.items():
        if "*" in value and not _wildcard_follows_owner(value, owners.get(name)):
            return (
                f"claims.{name} is {value!r}: a * may only stand at the end, behind an owner and a separator, as in "
                "repo:my-org/my-repo:*"
            )
    if shared is None:
        return None
    if not owners:
        return f"{shared['name']} issues no tokens under this issuer: use the one of your tenant"
    if shared["scopes"] and scopes:
        return None
    if any(re.match(pattern, texts[name]) for name, pattern in owners.items() if name in texts):
        return None
    return (
        f"{shared['name']}: {shared['who']} can get a token for any audience. claims must name the owner, by one of "
        f"{', '.join(owners)}{' (or scopes)' if shared['scopes'] else ''}; for example {json.dumps(shared['example'])}"
    )


def _wildcard_follows_owner(value: str, owner: str | None) -> bool:
    """Whether the part before a final * ends with a separator, and names an owner.

    A claim without a pattern for its owner needs two parts: a kind and a name.
    """
    prefix = value[:-1]
    if "*" in prefix or not value.endswith("*") or not prefix.endswith((":", "/")):
        return False
    if owner is not None:
        return bool(re.match(owner, value))
    parts = [part for part in re.split("[:/]", prefix) if part]
    return len(parts) >= (3 if prefix.startswith(_KUBERNETES) else 2)
