"""The pipeline: bytes -> image -> tensor -> model -> prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loupe.card import load_card
from loupe.errors import ModelFailed, Problem
from loupe.image import Limits, decode
from loupe.model import Model
from loupe.prediction import ModelInfo, Prediction, read
from loupe.stages import Stages
from loupe.tensor import to_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loupe.card import Card
    from loupe.tensor import Tensor


class Classifier:
    """One model, ready to classify."""

    def __init__(self, card: Card, model: Model, limits: Limits) -> None:
        self.card, self.model, self.limits = card, model, limits
        self.info = ModelInfo.of(card)

    @classmethod
    def load(cls, directory: Path, limits: Limits | None = None, threads: int = 1) -> Classifier:
        """Load the model of a folder; see `loupe.card.load_card` and `loupe.model.Model.load` for what they raise."""
        card = load_card(directory)
        return cls(card, Model.load(card, threads), limits or Limits())

    def classify(self, data: bytes, stages: Stages | None = None) -> Prediction:
        """Classify one image; times the stages ``decode``, ``tensor`` and ``model``.

        Raises
        ------
        loupe.errors.Problem
            If the image cannot be decoded or the model returns no valid output.
        """
        stages = stages or Stages()
        return self.predict(self.prepare(data, stages), stages)

    def prepare(self, data: bytes, stages: Stages) -> Tensor:
        """Decode one image to an item of the model's input, without the batch axis; raises as `classify`."""
        with stages("decode"):
            image = decode(data, self.limits, self.card.input)
        with stages("tensor"):
            return to_tensor(image, self.card.input)

    def predict(self, tensor: Tensor, stages: Stages) -> Prediction:
        """Run one result of `prepare` through the model; times the stage ``model``.

        Raises
        ------
        loupe.errors.ModelFailed
            If the model returns no valid output.
        """
        with stages("model"):
            row = self.model.run(tensor[None])[0]
        return read(row, self.card.output, self.info)

    def run(self, tensors: Sequence[Tensor]) -> list[Prediction | Problem]:
        """Run the results of `prepare` through the model together. An image for which the model fails is a problem."""
        try:
            rows = self.model.run(np.stack(tensors))
            return [read(row, self.card.output, self.info) for row in rows]
        except ModelFailed as problem:
            if len(tensors) == 1:
                return [problem]
            return [outcome for tensor in tensors for outcome in self.run([tensor])]
