"""Expected responses of the endpoint: the golden cases of the model's card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class GoldenCase:
    """An image and the answer that the card expects of it."""

    path: Path
    label: str
    probability: float | None
    tolerance: float


@dataclass(frozen=True)
class Card:
    """The part of a model card that a smoke test needs."""

    name: str
    version: str
    labels: tuple[str, ...]
    golden: tuple[GoldenCase, ...]


def read(folder: Path) -> Card:
    """Read ``card.json`` of a model's folder.

    Raises
    ------
    ValueError
        If it cannot be read or has no golden cases.
    """
    path = folder / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        golden = tuple(
            GoldenCase(folder / case["image"], case["label"], case.get("probability"), case.get("tolerance", 0.02))
            for case in card.get("golden", ())
        )
        labels = tuple(card["output"]["labels"])
        name, version = card["name"], card["version"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read: {error}. Name the model's folder with --model.") from error
    if not golden:
        raise ValueError(f"{path} has no golden images to check: modelkit add --golden adds some.")
    missing = [case.path for case in golden if not case.path.is_file()]
    if missing:
        raise ValueError(f"The golden image {missing[0]} is missing.")
    return Card(name, version, labels, golden)
