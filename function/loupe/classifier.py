"""The pipeline put together: bytes -> image -> tensor -> model -> prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loupe.card import load_card
from loupe.image import Limits, decode
from loupe.model import Model
from loupe.prediction import Prediction, read
from loupe.stages import Stages
from loupe.tensor import to_tensor

if TYPE_CHECKING:
    from pathlib import Path

    from loupe.card import Card


class Classifier:
    """One model, ready to classify."""

    def __init__(self, card: Card, model: Model, limits: Limits) -> None:
        self.card, self.model, self.limits = card, model, limits

    @classmethod
    def load(cls, directory: Path, limits: Limits | None = None, threads: int = 1) -> Classifier:
        """Load the model of a folder; see `loupe.card.load_card` and `loupe.model.Model.load` for what they raise."""
        card = load_card(directory)
        return cls(card, Model.load(card, threads), limits or Limits())

    def classify(self, data: bytes, stages: Stages | None = None) -> Prediction:
        """Classify one picture, timing its stages ``decode``, ``tensor`` and ``model``.

        Raises
        ------
        loupe.errors.Problem
            If the picture cannot be read or the model gives nothing usable.
        """
        stages = stages or Stages()
        spec = self.card.input
        with stages("decode"):
            image = decode(data, self.limits, spec)
        with stages("tensor"):
            batch = to_tensor(image, spec)[None]
        with stages("model"):
            row = self.model.run(batch)[0]
        return read(row, self.card.output)
