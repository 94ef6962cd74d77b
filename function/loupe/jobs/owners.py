"""The owner of a job: the identity that API Gateway established, never a value of the request itself."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from loupe.errors import CallerUnknown
from loupe.http.identity import api_key_id, mapping, pool_subject, text, token_owner

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTH_MODES = ("api-key", "iam", "cognito", "jwt", "none")
# Hexadecimal characters of an owner's digest in the name of a job: 80 bits.
DIGEST_CHARACTERS = 20


def owner_of(event: Mapping[str, Any], mode: str) -> str:
    """Return the digest of the caller's identity.

    - ``api-key``: the id of the API key. A client keeps its jobs for as long as it keeps its key.
    - ``iam``: the IAM user, or the role; sessions of one role share their jobs.
    - ``cognito``: the token's subject.
    - ``jwt``: the digest that the authorizer makes of the token's subject, or of its client where it has none.
    - ``none``: all callers are one owner.

    Parameters
    ----------
    event
        An API Gateway proxy event, of which ``requestContext`` is read.
    mode
        ``auth.mode`` of the deployment: only the identity that this mode establishes is used.

    Raises
    ------
    loupe.errors.CallerUnknown
        If the event has no identity of that kind.
    """
    if mode == "none":
        return _digest("everyone")
    context = mapping(event.get("requestContext"))
    identity = _IDENTITIES[mode](context)
    if not identity:
        raise CallerUnknown("Jobs belong to whoever starts them, and this request has no identity. Send credentials.")
    return _digest(f"{mode}:{identity}")


def _principal(context: Mapping[str, Any]) -> str:
    identity = text(mapping(context.get("identity")).get("userArn"))
    identity = identity or text(mapping(mapping(context.get("authorizer")).get("iam")).get("userArn"))
    # arn:aws:sts::<account>:assumed-role/<role>/<session>: the session has another name each time.
    head, separator, rest = identity.partition(":assumed-role/")
    return f"{head}{separator}{rest.partition('/')[0]}" if separator else identity


_IDENTITIES = {"api-key": api_key_id, "iam": _principal, "cognito": pool_subject, "jwt": token_owner}


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARACTERS]
