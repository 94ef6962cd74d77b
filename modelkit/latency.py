"""Time and size of models, side by side: alternating, so that whatever else the machine does meets all of them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

from loupe.model import Array, Model

from modelkit.pictures import LabelledPicture, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.card import Card

_PICTURES = 8
_ROUNDS = 25
_LOADS = 7


@dataclass(frozen=True)
class Cost:
    """Medians: ``run_ms`` of one picture through the graph, ``load_ms`` to create and warm the session; one thread."""

    run_ms: float
    load_ms: float
    bytes: int

    def to_json(self) -> dict[str, float]:
        """Return the figures, rounded to what is repeatable."""
        return {key: round(value, 3) for key, value in asdict(self).items()}


def sample_tensors(card: Card, pictures: Sequence[LabelledPicture], count: int = _PICTURES) -> list[Array]:
    """Return inputs to measure with: the first pictures that can be read."""
    found: list[Array] = []
    for _, tensor in readable(pictures, card.input):
        if tensor is not None:
            found.append(tensor[None])
        if len(found) == count:
            break
    return found


def costs(
    cards: Sequence[Card], inputs: Sequence[Sequence[Array]], *, rounds: int = _ROUNDS, loads: int = _LOADS
) -> list[Cost]:
    """Measure models in turns: model A, model B, model A, ... for every picture and every load.

    Parameters
    ----------
    inputs
        For each model, its input batches of one picture.
    """
    load_times: list[list[float]] = [[] for _ in cards]
    runs: list[list[float]] = [[] for _ in cards]
    for _ in range(loads):
        for card, taken in zip(cards, load_times, strict=True):
            start = time.perf_counter()
            Model.load(card)
            taken.append((time.perf_counter() - start) * 1000)
    models = [Model.load(card) for card in cards]
    for _ in range(rounds):
        for index in range(min(len(each) for each in inputs)):
            for model, own, taken in zip(models, inputs, runs, strict=True):
                start = time.perf_counter()
                model.run(own[index])
                taken.append((time.perf_counter() - start) * 1000)
    return [
        Cost(median(run), median(load), size_of(card)) for card, run, load in zip(cards, runs, load_times, strict=True)
    ]


def size_of(card: Card) -> int:
    """Bytes of a model's files."""
    return sum((card.directory / file.path).stat().st_size for file in card.files)
