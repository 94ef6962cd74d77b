"""TLS, which the local cloud has none of: its plain HTTP never leaves this machine, and counts as TLS for IAM.

Buckets deny requests without TLS (``enforce_ssl``), here as on AWS; MiniStack enforces that, so none would be answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcloud.seam import Replacement

if TYPE_CHECKING:
    from collections.abc import Callable

SECURE_TRANSPORT = "aws:securetransport"


def _as_if_by_tls(resolve: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def resolve_or_secure(key: str, context: Any) -> Any:
        return "true" if key.lower() == SECURE_TRANSPORT else resolve(key, context)

    return resolve_or_secure


REPLACEMENTS = (Replacement("ministack.core.iam_evaluator", "_resolve_condition_key", _as_if_by_tls),)
