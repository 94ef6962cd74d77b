"""Figures over logits of ``straight``: accuracy with its interval, calibration, temperature."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelkit.metrics import wilson_interval

BINS = 10


def probability(logits: np.ndarray, temperature: float | np.ndarray = 1.0) -> np.ndarray:
    """Probability of ``straight``."""
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64) / temperature)))


def calibration_error(of_straight: np.ndarray, targets: np.ndarray) -> float:
    """Expected calibration error of the winning label's probability, in ten equal bins from 0.5 to 1."""
    confidence = np.maximum(of_straight, 1 - of_straight)
    right = (of_straight > 0.5) == (targets > 0.5)
    bins = np.minimum(((confidence - 0.5) * 2 * BINS).astype(int), BINS - 1)
    gaps = (abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(BINS))
    return float(sum(gaps) / len(targets))


def log_loss(of_straight: np.ndarray, targets: np.ndarray) -> float:
    clipped = np.clip(np.where(targets > 0.5, of_straight, 1 - of_straight), 1e-12, 1)
    return float(-np.log(clipped).mean())


def best_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The divisor of the logits with the least log loss, among 0.25 to 4 in steps of 2 %."""
    candidates = [round(0.25 * 1.02**step, 4) for step in range(141)]
    return min(candidates, key=lambda value: log_loss(probability(logits, value), targets))


def quality(logits: np.ndarray, targets: np.ndarray, temperature: float, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the figures of one set of photos as the card holds them."""
    truth, predicted = targets > 0.5, logits > 0
    right = int((truth == predicted).sum())
    low, high = wilson_interval(right, len(targets))
    confusion = [[int(((truth == row) & (predicted == column)).sum()) for column in (0, 1)] for row in (0, 1)]
    return {
        "size": len(targets),
        "accuracy": round(right / len(targets), 4),
        "accuracy_interval_95": [round(low, 4), round(high, 4)],
        "interval": "Wilson",
        "confusion": confusion,
        "confusion_layout": f"rows: true {labels[0]}, {labels[1]}; columns: predicted {labels[0]}, {labels[1]}",
        "recall": {label: round(confusion[i][i] / sum(confusion[i]), 4) for i, label in enumerate(labels)},
        "ece": round(calibration_error(probability(logits, temperature), targets), 4),
        "ece_bins": f"{BINS} equal bins of the winning label's probability, from 0.5 to 1",
        "ece_without_temperature": round(calibration_error(probability(logits), targets), 4),
        "log_loss": round(log_loss(probability(logits, temperature), targets), 4),
        "log_loss_without_temperature": round(log_loss(probability(logits), targets), 4),
    }


def cross_validation(
    logits: np.ndarray, targets: np.ndarray, fold: np.ndarray, labels: tuple[str, ...]
) -> tuple[float, dict[str, Any]]:
    """Return the temperature that the held-out logits of all folds ask for, and their figures.

    The calibration error with it is measured with each fold's temperature fitted on the other folds.
    """
    temperature = best_temperature(logits, targets)
    numbers = range(int(fold.max()) + 1)
    elsewhere = np.empty(len(targets))
    for number in numbers:
        elsewhere[fold == number] = best_temperature(logits[fold != number], targets[fold != number])
    accuracies = [float(((logits > 0) == (targets > 0.5))[fold == number].mean()) for number in numbers]
    figures = quality(logits, targets, temperature, labels)
    of_straight = probability(logits, elsewhere)
    return temperature, {
        "folds": len(numbers),
        "mean_accuracy": round(float(np.mean(accuracies)), 4),
        "standard_deviation": round(float(np.std(accuracies, ddof=1)), 4),
        "fold_accuracies": [round(value, 4) for value in accuracies],
        **figures,
        "ece": round(calibration_error(of_straight, targets), 4),
        "log_loss": round(log_loss(of_straight, targets), 4),
    }
