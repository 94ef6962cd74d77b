"""MiniStack with parts of it replaced: the seams at which our stand-ins for Lambda and CloudWatch join it.

MiniStack is pinned. Each replaced function is named in `lambda_seam`, `gateway_seam`, `alarm_seam` or `transport_seam`;
a release that lacks one ends the start with a sentence, `tests/unit/test_localcloud_seams.py` names them all with their
parameters, and `tests/cloud` tests the rest against what AWS does.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Replacement:
    """A function of MiniStack's and what makes its successor of it."""

    module: str
    name: str
    make: Callable[[Any], Any]

    def install(self) -> None:
        """Raises SystemExit if this MiniStack does not have the function."""
        before = original(self.module, self.name)
        setattr(importlib.import_module(self.module), self.name, self.make(before))


def original(module: str, name: str) -> Any:
    """A function of MiniStack's as it is.

    Raises
    ------
    SystemExit
        If this MiniStack does not have it.
    """
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        message = f"This MiniStack has no {module}.{name}: install the release that requirements.txt pins."
        raise SystemExit(message) from None
