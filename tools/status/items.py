"""Lines of the status: a name, a state, a sentence, and the values behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """``wrong`` makes the whole status unhealthy; ``unknown`` could not be read; ``note`` is for information."""

    ok = "ok"
    note = "note"
    unknown = "unknown"
    wrong = "wrong"


@dataclass(frozen=True)
class Item:
    """One line.

    Attributes
    ----------
    name
        Of the section.
    text
        A sentence, or figures.
    action
        A command or a link for what is wrong; empty where nothing is to be done.
    values
        For programs.
    """

    name: str
    state: State
    text: str
    action: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
