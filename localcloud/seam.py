"""MiniStack with parts of it replaced: the seams at which our stand-ins for Lambda and CloudWatch join it.

MiniStack is pinned, and each function that is replaced is named in `lambda_seam`, `alarm_seam` or `transport_seam`; a
release of it that lacks one is refused at the start, and `tests/cloud` holds the rest to what AWS does.
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
