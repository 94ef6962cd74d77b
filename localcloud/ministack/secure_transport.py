"""The IAM condition key ``aws:SecureTransport``, which is true for every request to the local cloud.

The local cloud listens on the loopback interface without TLS. Bucket policies deny requests without TLS
(``enforce_ssl``), and MiniStack enforces them, so that it would reject every request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcloud.ministack.compatibility import IAM
from localcloud.ministack.replacement import Replacement

if TYPE_CHECKING:
    from collections.abc import Callable

SECURE_TRANSPORT = "aws:securetransport"


def _always_secure(resolve: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def resolve_or_true(key: str, context: Any) -> Any:
        return "true" if key.lower() == SECURE_TRANSPORT else resolve(key, context)

    return resolve_or_true


def replacements() -> tuple[Replacement, ...]:
    """Replacements in MiniStack's evaluation of IAM policies."""
    return (Replacement(IAM, "_resolve_condition_key", _always_secure),)
