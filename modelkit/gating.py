"""The gate: reject a model that is worse than the one that it replaces."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from loupe.model_files import MissingFileError, locate
from loupe.processor import describe

from modelkit.checks import Check
from modelkit.errors import ModelkitError
from modelkit.labelled_images import LabelledImage

if TYPE_CHECKING:
    from loupe.card import Card

    from modelkit.evaluation import Comparison


_ONE_SIDED_95 = 1.645


@dataclass(frozen=True)
class Limits:
    """Release limits of a successor: the ``release`` object of the reference's card, or these defaults."""

    min_agreement: float = 0.97
    max_probability_shift: float = 0.05
    near_tie: float = 0.03
    max_accuracy_loss: float = 0.01
    max_latency_ratio: float = 1.1

    @classmethod
    def of(cls, card: Card) -> Limits:
        """Read the limits of a card; the schema rejects unknown keys."""
        release = card.raw.get("release", {})
        return cls(**{field.name: float(release[field.name]) for field in fields(cls) if field.name in release})


def golden_images(card: Card) -> list[LabelledImage]:
    """Return the images of a card's golden cases, where no folder of images is given.

    Raises
    ------
    ModelkitError
        If there are none.
    """
    images = []
    for case in card.golden:
        with contextlib.suppress(MissingFileError):
            # Of a multilabel model a case names one of the labels, not all of them.
            label = None if card.output.multilabel else card.output.labels.index(case.label)
            images.append(LabelledImage(locate(card.directory, case.image), label))
    if not images:
        raise ModelkitError(f"{card.name} has no golden images to evaluate: use --images DIR (DIR/<label>/...).")
    return images


def judge_successor(comparison: Comparison, limits: Limits) -> list[Check]:
    """Compare a retrained model with the one that it replaces: accuracy and latency only.

    Other weights give other probabilities, so agreement is reported and not limited. The accuracy must not fall by more
    than ``max_accuracy_loss``; a warning states the loss that so few images cannot exclude (one-sided 95 % bound of the
    paired difference, normal approximation).

    Raises
    ------
    ModelkitError
        If the images have no labels.
    """
    accuracy, reference = comparison.model.accuracy, comparison.against.accuracy
    if accuracy is None or reference is None:
        raise ModelkitError("A successor is compared by accuracy: use --images DIR with images in DIR/<label>/.")
    losses = np.asarray(comparison.against.right, float) - np.asarray(comparison.model.right, float)
    count = len(losses)
    bound = float(losses.mean() + _ONE_SIDED_95 * np.sqrt(losses.var() / count + 1 / (4 * count * count)))
    accuracy_check = _check(
        "accuracy",
        accuracy >= reference - limits.max_accuracy_loss - 1e-9,
        f"{accuracy:.4f} against {reference:.4f} on {count} images (may lose {limits.max_accuracy_loss:g})",
    )
    checks = [accuracy_check]
    if bound > limits.max_accuracy_loss:
        checks.append(
            Check(
                "evidence", "warn", f"{count} images do not exclude a loss of {bound:.4f} (95 %).", "Use more images."
            )
        )
    else:
        checks.append(Check("evidence", "pass", f"{count} images exclude a loss above {bound:.4f} (95 %)."))
    agreement = f"{comparison.agreement:.4f} of the images get the same label; not limited for a successor."
    return [*checks, Check("agreement", "pass", agreement), _latency(comparison, limits)]


def judge(comparison: Comparison, limits: Limits) -> list[Check]:
    """Check a comparison against limits: one check for each."""
    shift, against = float(comparison.shifts.max()), comparison.against.card.name
    label_changes = comparison.label_changes(limits.near_tie)
    count = len(comparison.model.readings.paths)
    checks = [
        _check(
            "agreement",
            comparison.agreement >= limits.min_agreement,
            f"{comparison.agreement:.4f} of {count} images get the label of {against} "
            f"(at least {limits.min_agreement:g})",
        ),
        _check(
            "near ties",
            not label_changes,
            f"{int(comparison.disagreeing.sum())} disagreement(s), {len(label_changes)} of them not near a tie "
            f"(within {limits.near_tie:g})" + (f": {', '.join(label_changes[:3])}" if label_changes else ""),
        ),
        _check(
            "probability shift",
            shift <= limits.max_probability_shift,
            f"at most {shift:.4f} (allowed {limits.max_probability_shift:g})",
        ),
    ]
    accuracy, reference = comparison.model.accuracy, comparison.against.accuracy
    if accuracy is not None and reference is not None:
        # Rounding errors must not change the verdict.
        checks.append(
            _check(
                "accuracy",
                accuracy >= reference - limits.max_accuracy_loss - 1e-9,
                f"{accuracy:.4f} against {reference:.4f} (may lose {limits.max_accuracy_loss:g})",
            )
        )
    else:
        checks.append(Check("accuracy", "warn", "not evaluated: the images have no labels.", "Use folders by label."))
    return [*checks, _latency(comparison, limits)]


def _latency(comparison: Comparison, limits: Limits) -> Check:
    return _check(
        "latency",
        comparison.latency_ratio <= limits.max_latency_ratio,
        f"{comparison.latency_ratio:.2f}x of {comparison.against.card.name}: {comparison.model.cost.run_ms:.2f} "
        f"against {comparison.against.cost.run_ms:.2f} ms (at most {limits.max_latency_ratio:g}x), on {describe()}",
    )


def _check(name: str, fine: bool, detail: str) -> Check:
    return (
        Check(name, "pass", f"{detail}.") if fine else Check(name, "fail", f"{detail}.", "Outside the release limits.")
    )
