"""A source of facts about a model: a file beside it, or its metadata, with preprocessing and labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelkit.errors import ModelkitError
from modelkit.label_files import read_text

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Source:
    """``answers`` are values for fields of `modelkit.adding.Answers`; ``notes`` are facts that no field holds.

    ``kind`` names the library and its processor, as that is what the tensor is equal to.
    """

    file: str
    kind: str
    answers: dict[str, Any]
    notes: tuple[str, ...] = ()


class NotExpressibleError(ModelkitError):
    """A configuration that no card can express; the message says which part and why."""


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of at most the size of a card.

    Raises
    ------
    ModelkitError
        If the file is no such thing.
    """
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError):
        raise ModelkitError(f"{path} is not valid JSON; download it again.") from None
    if not isinstance(value, dict):
        raise ModelkitError(f"{path} is not a JSON object, so no configuration of a model.")
    return value


def scale_of(factor: float) -> float | str:
    """Write 1/255 as the card does."""
    return "1/255" if abs(factor * 255 - 1) < 1e-6 else factor


def three(value: Any, file: str, key: str) -> tuple[float, ...]:
    """Return a mean or std: a number, or a list of 1 or 3.

    Raises
    ------
    ModelkitError
        If it is something else.
    """
    values = value if isinstance(value, list) else [value]
    if len(values) not in (1, 3) or not all(
        isinstance(item, (int, float)) and not isinstance(item, bool) for item in values
    ):
        raise ModelkitError(f"{file}: {key} must be a number, or one for each of three channels.")
    return tuple(float(item) for item in values)
