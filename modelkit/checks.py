"""One check of a model: its subject, its status, and the fix."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Status = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """``detail`` is the observation; ``fix`` the remedy of a failure or a warning."""

    name: str
    status: Status
    detail: str
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the check as JSON's types."""
        return asdict(self)


def passed(checks: Iterable[Check]) -> bool:
    """Whether no check failed; warnings pass."""
    return all(check.status != "fail" for check in checks)
