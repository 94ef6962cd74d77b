"""Who sent a request, as API Gateway established it: read from an event's ``requestContext``.

API Gateway developer guide, 'Input format of a Lambda function for proxy integration' and 'Output from an API Gateway
Lambda authorizer'. Every function returns '' if the event has no such identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def api_key_id(context: Mapping[str, Any]) -> str:
    """Return the id of the API key, not the key."""
    return text(mapping(context.get("identity")).get("apiKeyId"))


def pool_subject(context: Mapping[str, Any]) -> str:
    """Return the subject of a user pool's token."""
    return text(mapping(mapping(context.get("authorizer")).get("claims")).get("sub"))


def token_owner(context: Mapping[str, Any]) -> str:
    """Return the digest that the JWT authorizer makes of a token's subject, or of its client.

    Not ``sub``, ``client_id`` or ``principalId``: those are made plain for logs, and so two principals may have the
    same.
    """
    return text(mapping(context.get("authorizer")).get("owner"))


def source_address(context: Mapping[str, Any]) -> str:
    """Return the address that the request came from."""
    address = mapping(context.get("identity")).get("sourceIp") or mapping(context.get("http")).get("sourceIp")
    return text(address)


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """Return a text, or '' in place of anything else."""
    return value if isinstance(value, str) else ""
