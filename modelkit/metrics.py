"""Figures over predictions, with their sources."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# 97.5 % point of the normal distribution: two-sided 95 %.
_Z95 = 1.959963984540054


def wilson_interval(right: float, total: float, z: float = _Z95) -> tuple[float, float]:
    """Interval of a share, 95 % by default (Wilson 1927; for small samples: Brown, Cai, DasGupta 2001)."""
    if total == 0:
        return (0.0, 1.0)
    share = right / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return (max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))


def confusion_matrix(truth: Ints, predicted: Ints, labels: int) -> Ints:
    """Counts, ``(labels, labels)``: rows are the truth, columns the prediction."""
    matrix = np.zeros((labels, labels), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def top_confusions(confusion: Ints, count: int) -> list[tuple[int, int, int]]:
    """Return the most frequent mistakes, ``(truth, predicted, images)``, most first."""
    truth, predicted = np.nonzero(confusion - np.diag(np.diag(confusion)))
    pairs = sorted(
        ((int(row), int(column), int(confusion[row, column])) for row, column in zip(truth, predicted, strict=True)),
        key=lambda pair: (-pair[2], pair[0], pair[1]),
    )
    return pairs[:count]


def precision_recall(confusion: Ints) -> tuple[Floats, Floats]:
    """Return precision and recall of each class; nan where a class was never predicted or never there."""
    hits = np.diag(confusion).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hits / confusion.sum(axis=0), hits / confusion.sum(axis=1)


def reliability(confidence: Floats, right: npt.NDArray[np.bool_], bins: int = 10) -> list[dict[str, float]]:
    """Return, for each bin of confidence that holds images, its bounds, count, mean confidence and accuracy."""
    index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return [
        {
            "low": number / bins,
            "high": (number + 1) / bins,
            "count": int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(right[inside].mean()),
        }
        for number in range(bins)
        if (inside := index == number).any()
    ]


def expected_calibration_error(rows: list[dict[str, float]]) -> float:
    """Mean distance of confidence and accuracy over the bins of `reliability`, by count (Guo et al. 2017)."""
    total = sum(row["count"] for row in rows)
    return sum(row["count"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / total if total else 0.0


def mcnemar(first_right: npt.NDArray[np.bool_], second_right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Exact McNemar test: is one of two models right more often on the same images?

    Returns
    -------
    dict
        ``only_first``, ``only_second`` (images that only one gets right) and ``p_value``, two-sided, binomial.
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    total, least = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(total, k) for k in range(least + 1))
    # Whole numbers until the last step: 2**total is beyond a float from 1024 discordant images on.
    p_value = 1.0 if total == 0 else min(1.0, 2 * tail / 2**total)
    return {"only_first": only_first, "only_second": only_second, "p_value": p_value}


def average_precision(targets: Flags, probabilities: Floats) -> float:
    """Mean of the precision at each right image, by descending probability; nan where no image is right.

    Ties count as one step, as in scikit-learn's ``average_precision_score``, of which this is the formula.
    """
    total = int(targets.sum())
    if not total:
        return math.nan
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(targets[order])
    # The last position of each run of equal probabilities.
    ends = np.flatnonzero(np.append(np.diff(probabilities[order]) != 0, True))
    precision, recall = hits[ends] / (ends + 1), hits[ends] / total
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def f1_scores(targets: Flags, assigned: Flags) -> Floats:
    """Return the F1 of each label, ``(labels,)``; nan where a label is neither right nor given anywhere."""
    hits = (targets & assigned).sum(axis=0)
    total = targets.sum(axis=0) + assigned.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * hits / total, np.float64)


def near_tie(probabilities: Floats, margin: float) -> npt.NDArray[np.bool_]:
    """Return which rows lie close to a tie.

    Two labels: the probability is within ``margin`` of 0.5. More: the two highest are within ``margin`` of each other.
    """
    if probabilities.shape[1] == 2:
        return np.asarray(np.abs(probabilities[:, 1] - 0.5) <= margin)
    highest = np.sort(probabilities, axis=1)
    return np.asarray(highest[:, -1] - highest[:, -2] <= margin)
