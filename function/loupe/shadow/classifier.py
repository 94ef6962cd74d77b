"""A classifier that gives a sample of what it classifies to a shadow test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loupe.classifier import Classifier
from loupe.image import decode
from loupe.prediction import Prediction
from loupe.shadow.sample import Sample
from loupe.shadow.sampling import is_sampled
from loupe.stages import Stages
from loupe.tensor import from_pixels, to_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.errors import Problem
    from loupe.shadow.collector import Collector
    from loupe.tensor import Tensor


class SampledClassifier(Classifier):
    """Predictions are those of the classifier. Safe to use from several threads.

    It is called below the prediction cache, so that cached predictions are not sampled.

    Parameters
    ----------
    base
        The loaded classifier; its model and card are used unchanged.
    share
        Of the images, 0 to 1.
    pixels
        Whether a sample has the pixels of the model's input instead of the file.
    """

    def __init__(self, base: Classifier, collector: Collector, share: float, *, pixels: bool) -> None:
        super().__init__(base.card, base.model, base.limits)
        self._collector, self._share, self._pixels = collector, share, pixels

    def classify(self, data: bytes, stages: Stages | None = None) -> Prediction:
        """Classify one image, as `loupe.classifier.Classifier.classify`."""
        stages = stages or Stages()
        tensor, sampled = self._prepared(data, stages)
        prediction = self.predict(tensor, stages)
        if sampled is not None:
            self._collector.offer(Sample(sampled, prediction, stages.milliseconds["model"]))
        return prediction

    def prepare(self, data: bytes, stages: Stages) -> Tensor:
        """Decode one image of a batch, as `loupe.classifier.Classifier.prepare`."""
        tensor, sampled = self._prepared(data, stages)
        if sampled is not None:
            self._collector.hold(tensor, sampled)
        return tensor

    def run(self, tensors: Sequence[Tensor]) -> list[Prediction | Problem]:
        """Run prepared images, as `loupe.classifier.Classifier.run`."""
        outcomes = super().run(tensors)
        for tensor, outcome in zip(tensors, outcomes, strict=True):
            sampled = self._collector.release(tensor)
            if sampled is not None and isinstance(outcome, Prediction):
                self._collector.offer(Sample(sampled, outcome, None))
        return outcomes

    def _prepared(self, data: bytes, stages: Stages) -> tuple[Tensor, bytes | Tensor | None]:
        with stages("decode"):
            image = decode(data, self.limits, self.card.input)
        with stages("tensor"):
            pixels = to_pixels(image, self.card.input)
            tensor = from_pixels(pixels, self.card.input)
        # After decoding: a file that is not an image is not compared. In no stage: `Server-Timing` lists stages.
        image_or_pixels = pixels if self._pixels else data
        size = int(pixels.nbytes) if self._pixels else len(data)
        sampled = is_sampled(data, self._share) and self._collector.reserve(size)
        return tensor, image_or_pixels if sampled else None
