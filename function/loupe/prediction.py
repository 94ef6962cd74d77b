"""The model's raw output to labels and probabilities, as the card defines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.errors import ModelFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.card import Card, OutputSpec

# Scores in a response, best first: without a limit in the request, and the largest limit.
DEFAULT_TOP = 5
MAX_TOP = 9999
# Tolerated distance from [0, 1], for float16 and quantized graphs; beyond it a number is not a probability.
_SLACK = 1e-3


class ModelInfo(NamedTuple):
    """Which model made a prediction, for responses, logs and metrics. ``label_count`` is the number of its labels."""

    name: str
    version: str
    variant: str
    label_count: int

    @classmethod
    def of(cls, card: Card) -> ModelInfo:
        return cls(card.name, card.version, card.variant, len(card.output.labels))


# Of output that is read outside of a service, as modelkit does.
UNNAMED_MODEL = ModelInfo("unnamed", "0.0.0", "none", 0)


class Prediction(NamedTuple):
    """The labels and probabilities of one image.

    Attributes
    ----------
    scores
        (label, probability) pairs of all labels, highest first.
    labels
        Of multilabel models only: the labels at or above their thresholds, highest first; there may be none.
    model
        The model that made it.
    cache
        ``hit`` or ``miss`` of a prediction cache (`loupe.cache`); ``off`` where there is none.
    """

    label: str
    probability: float
    scores: tuple[tuple[str, float], ...]
    labels: tuple[str, ...] | None = None
    model: ModelInfo = UNNAMED_MODEL
    cache: str = "off"

    @property
    def assigned_labels(self) -> tuple[str, ...]:
        """Return the labels that the image is given: its one label, or all of a multilabel model."""
        return (self.label,) if self.labels is None else self.labels

    def top(self, count: int | None) -> dict[str, float]:
        """Return the ``count`` highest scores (None: all)."""
        return dict(self.scores[:count])


def read(row: Sequence[float] | Any, spec: OutputSpec, model: ModelInfo = UNNAMED_MODEL) -> Prediction:
    """Read one image's output: ``spec.size`` finite numbers.

    Raises
    ------
    loupe.errors.ModelFailed
        If there are more or fewer numbers, or a 'probability' is not one.
    """
    values = [float(value) for value in row]
    if len(values) != spec.size:
        raise ModelFailed(f"The model gave {len(values)} numbers where its card names {spec.size}.")
    if spec.kind == "logit":
        probabilities = _binary(sigmoid(values[0] / spec.temperature))
    elif spec.kind == "probability":
        probabilities = _binary(_probability(values[0]))
    elif spec.kind == "logits":
        probabilities = softmax([value / spec.temperature for value in values])
    elif spec.kind == "multilabel-logits":
        probabilities = [sigmoid(value / spec.temperature) for value in values]
    else:
        probabilities = [_probability(value) for value in values]
    scores = sorted(zip(spec.labels, probabilities, strict=True), key=lambda pair: -pair[1])
    if not spec.multilabel:
        return Prediction(scores[0][0], scores[0][1], tuple(scores), None, model)
    assigned = {
        label
        for label, probability, threshold in zip(spec.labels, probabilities, spec.thresholds, strict=True)
        if probability >= threshold
    }
    labels = tuple(label for label, _ in scores if label in assigned)
    return Prediction(scores[0][0], scores[0][1], tuple(scores), labels, model)


def sigmoid(value: float) -> float:
    """Logistic function that does not overflow."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    grown = math.exp(value)
    return grown / (1.0 + grown)


def softmax(values: Sequence[float]) -> list[float]:
    """Softmax, shifted by the largest value so that it does not overflow."""
    largest = max(values)
    grown = [math.exp(value - largest) for value in values]
    total = math.fsum(grown)
    return [value / total for value in grown]


def _binary(second: float) -> list[float]:
    return [1.0 - second, second]


def _probability(value: float) -> float:
    if not -_SLACK <= value <= 1 + _SLACK:
        raise ModelFailed("The model's output is outside 0 to 1 where its card says that it is a probability.")
    return min(1.0, max(0.0, value))
