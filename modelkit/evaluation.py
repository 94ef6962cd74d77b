"""Evaluate a model on labelled images, and compare it with another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from loupe.model import Model
from loupe.processor import describe

from modelkit.latency import Cost, costs, sample_tensors
from modelkit.metrics import (
    average_precision,
    confusion_matrix,
    expected_calibration_error,
    f1_scores,
    mcnemar,
    near_tie,
    precision_recall,
    reliability,
    top_confusions,
    wilson_interval,
)
from modelkit.reading import Predictions, Progress, read_all, require_same_labels, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.card import Card

    from modelkit.labelled_images import LabelledImage


# Up to here a confusion matrix can be read; beyond, its largest entries are given.
MATRIX_LABELS = 20
_CONFUSIONS = 20


@dataclass(frozen=True)
class Quality:
    """One model on the images. ``accuracy`` and all that needs labels are None without them."""

    card: Card
    readings: Predictions
    cost: Cost

    @property
    def right(self) -> Any:
        return self.readings.right

    @property
    def accuracy(self) -> float | None:
        return float(self.right.mean()) if self.readings.labelled else None

    @property
    def reliability(self) -> list[dict[str, float]]:
        return reliability(self.readings.probabilities.max(axis=1), self.right)

    def to_json(self) -> dict[str, Any]:
        """Return every figure as JSON's types."""
        value: dict[str, Any] = {
            "model": self.card.name,
            "version": self.card.version,
            "variant": self.card.variant,
            "pictures": len(self.readings.paths),
            "unreadable": [path.name for path in self.readings.unreadable],
            "cost": self.cost.to_json(),
            "processor": describe(),
        }
        if self.readings.labelled:
            value |= self._multilabel_figures() if self.card.output.multilabel else self._single_label_figures()
        return value

    def _multilabel_figures(self) -> dict[str, Any]:
        labels, assigned = self.card.output.labels, self.readings.assigned
        targets = self.readings.targets if self.readings.targets is not None else np.zeros_like(assigned)
        precisions = np.array(
            [average_precision(targets[:, i], self.readings.probabilities[:, i]) for i in range(len(labels))]
        )
        scores = f1_scores(targets, assigned)
        hits = int((targets & assigned).sum())
        chosen, right = int(assigned.sum()), int(targets.sum())
        return {
            "exact_match": round(float(self.right.mean()), 4),
            "mean_average_precision": _mean(precisions),
            "f1_micro": round(2 * hits / (chosen + right), 4) if chosen + right else None,
            "f1_macro": _mean(scores),
            "classes": {
                label: {
                    "average_precision": _number(precisions[i]),
                    "f1": _number(scores[i]),
                    "count": int(targets[:, i].sum()),
                    "given": int(assigned[:, i].sum()),
                }
                for i, label in enumerate(labels)
            },
        }

    def _single_label_figures(self) -> dict[str, Any]:
        labels = self.card.output.labels
        confusion = confusion_matrix(self.readings.truth, self.readings.predicted, len(labels))
        precision, recall = precision_recall(confusion)
        return {
            "accuracy": round(float(self.right.mean()), 4),
            "accuracy_interval_95": [round(v, 4) for v in wilson_interval(int(self.right.sum()), len(self.right))],
            "classes": {
                label: {
                    "precision": _number(precision[i]),
                    "recall": _number(recall[i]),
                    "count": int(confusion[i].sum()),
                }
                for i, label in enumerate(labels)
            },
            **({"confusion": confusion.tolist()} if len(labels) <= MATRIX_LABELS else {}),
            "top_confusions": [
                {"truth": labels[row], "predicted": labels[column], "count": count}
                for row, column, count in top_confusions(confusion, _CONFUSIONS)
            ],
            "ece": round(expected_calibration_error(self.reliability), 4),
            "reliability": self.reliability,
        }


@dataclass(frozen=True)
class Comparison:
    """A model and the one that it is to replace, on the same images, measured in the same run."""

    model: Quality
    against: Quality

    @property
    def disagreeing(self) -> Any:
        if self.model.card.output.multilabel:
            return (self.model.readings.assigned != self.against.readings.assigned).any(axis=1)
        return self.model.readings.predicted != self.against.readings.predicted

    @property
    def agreement(self) -> float:
        return float(1 - self.disagreeing.mean())

    @property
    def shifts(self) -> Any:
        """Largest |difference of probability| of each image, ``(images,)``."""
        return np.abs(self.model.readings.probabilities - self.against.readings.probabilities).max(axis=1)

    @property
    def latency_ratio(self) -> float:
        return self.model.cost.run_ms / self.against.cost.run_ms

    def label_changes(self, margin: float) -> list[str]:
        """Return the images on which the labels differ although the reference was not near a tie."""
        if self.model.card.output.multilabel:
            reference = self.against.readings
            differ = self.model.readings.assigned != reference.assigned
            distances = np.abs(reference.probabilities - np.array(self.against.card.output.thresholds))
            label_changes = (differ & (distances > margin)).any(axis=1)
        else:
            label_changes = self.disagreeing & ~near_tie(self.against.readings.probabilities, margin)
        return [str(path) for path, bad in zip(self.model.readings.paths, label_changes, strict=True) if bad]

    def to_json(self) -> dict[str, Any]:
        """Return every figure as JSON's types; ratios are model / against, except the speed-ups."""
        value: dict[str, Any] = {
            "against": self.against.card.name,
            "agreement": round(self.agreement, 4),
            "disagreements": int(self.disagreeing.sum()),
            "max_probability_shift": round(float(self.shifts.max()), 5),
            "mean_probability_shift": round(float(self.shifts.mean()), 5),
            "size_ratio": round(self.model.cost.bytes / self.against.cost.bytes, 4),
            "latency_ratio": round(self.latency_ratio, 3),
            "speed_up": round(1 / self.latency_ratio, 2),
            "load_speed_up": round(self.against.cost.load_ms / self.model.cost.load_ms, 2),
        }
        if self.model.readings.labelled:
            value["mcnemar"] = mcnemar(self.model.right, self.against.right)
        return value


def evaluate(card: Card, images: Sequence[LabelledImage], progress: Progress = silent) -> Quality:
    """Run a model over images.

    Raises
    ------
    loupe.card.CardError, modelkit.errors.ModelkitError
    """
    readings = read_all([Model.load(card)], images, progress)[0]
    progress("measuring", 0, 1)
    return Quality(card, readings, costs([card], [sample_tensors(card, images)])[0])


def compare(card: Card, against: Card, images: Sequence[LabelledImage], progress: Progress = silent) -> Comparison:
    """Run two models over the same images; they are measured in turns.

    Raises
    ------
    loupe.card.CardError, modelkit.errors.ModelkitError
    """
    require_same_labels(card, against)
    first, second = read_all([Model.load(card), Model.load(against)], images, progress)
    progress("measuring", 0, 1)
    cost, other = costs([card, against], [sample_tensors(model, images) for model in (card, against)])
    return Comparison(Quality(card, first, cost), Quality(against, second, other))


def _mean(values: Any) -> float | None:
    """Mean of the defined values."""
    numbers = values[~np.isnan(values)]
    return round(float(numbers.mean()), 4) if len(numbers) else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
