"""The golden images of a model and their expected results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcloud.errors import CloudError
from localcloud.state import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Golden:
    """An image with its expected result."""

    path: Path
    label: str
    probability: float
    tolerance: float


def golden(name: str) -> list[Golden]:
    """The golden cases of a model's card, starting with one per label.

    Raises
    ------
    CloudError
        If the card cannot be read.
    """
    folder = PROJECT / "models" / name
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        cases = [
            Golden(folder / case["image"], case["label"], case["probability"], case["tolerance"])
            for case in card.get("golden", [])
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CloudError(f"The golden images of the model {name!r} cannot be read: {error}.") from error
    first: dict[str, Golden] = {}
    for case in cases:
        first.setdefault(case.label, case)
    return [*first.values(), *(case for case in cases if case not in first.values())]
