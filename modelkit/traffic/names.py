"""Escape texts from a log for display."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_CHARACTERS, _MAX_NAMES = 60, 10


def plain(text: str) -> str:
    """Return a text on one line, without characters that a terminal or XML would not take for text."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= _MAX_CHARACTERS else f"{shown[: _MAX_CHARACTERS - 1]}…"


def listed(names: Iterable[str]) -> str:
    """Return names with commas between, at most ten."""
    shown = [plain(name) for name in names]
    return ", ".join(shown[:_MAX_NAMES]) + (f" and {len(shown) - _MAX_NAMES} more" if len(shown) > _MAX_NAMES else "")
