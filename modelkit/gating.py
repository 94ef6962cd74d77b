"""The gate: no model passes that is worse than the one it replaces."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from loupe.model_files import MissingFileError, locate
from loupe.processor import describe

from modelkit.checks import Check
from modelkit.errors import ModelkitError
from modelkit.pictures import LabelledPicture

if TYPE_CHECKING:
    from loupe.card import Card

    from modelkit.evaluation import Comparison


@dataclass(frozen=True)
class Limits:
    """What a successor is held to: the ``release`` object of the reference's card, or these defaults."""

    min_agreement: float = 0.97
    max_probability_shift: float = 0.05
    near_tie: float = 0.03
    max_accuracy_loss: float = 0.01
    max_latency_ratio: float = 1.1

    @classmethod
    def of(cls, card: Card) -> Limits:
        """Read the limits of a card; unknown keys are for the schema to refuse."""
        release = card.raw.get("release", {})
        return cls(**{field.name: float(release[field.name]) for field in fields(cls) if field.name in release})


def golden_pictures(card: Card) -> list[LabelledPicture]:
    """Return the pictures of a card's golden cases, for want of a folder.

    Raises
    ------
    ModelkitError
        If there are none.
    """
    pictures = []
    for case in card.golden:
        with contextlib.suppress(MissingFileError):
            # Of a multilabel model a case names one of the labels, not all of them.
            label = None if card.output.multilabel else card.output.labels.index(case.label)
            pictures.append(LabelledPicture(locate(card.directory, case.image), label))
    if not pictures:
        raise ModelkitError(f"{card.name} has no golden images to evaluate: use --images DIR (DIR/<label>/...).")
    return pictures


def judge(comparison: Comparison, limits: Limits) -> list[Check]:
    """Hold a comparison against limits: one check for each."""
    shift, against = float(comparison.shifts.max()), comparison.against.card.name
    serious = comparison.serious(limits.near_tie)
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
            not serious,
            f"{int(comparison.disagreeing.sum())} disagreement(s), {len(serious)} of them not near a tie "
            f"(within {limits.near_tie:g})" + (f": {', '.join(serious[:3])}" if serious else ""),
        ),
        _check(
            "probability shift",
            shift <= limits.max_probability_shift,
            f"at most {shift:.4f} (allowed {limits.max_probability_shift:g})",
        ),
    ]
    accuracy, reference = comparison.model.accuracy, comparison.against.accuracy
    if accuracy is not None and reference is not None:
        # One picture's worth of rounding error must not turn the verdict.
        checks.append(
            _check(
                "accuracy",
                accuracy >= reference - limits.max_accuracy_loss - 1e-9,
                f"{accuracy:.4f} against {reference:.4f} (may lose {limits.max_accuracy_loss:g})",
            )
        )
    else:
        checks.append(Check("accuracy", "warn", "not evaluated: the images have no labels.", "Use folders by label."))
    checks.append(
        _check(
            "latency",
            comparison.latency_ratio <= limits.max_latency_ratio,
            f"{comparison.latency_ratio:.2f}x of {against}: {comparison.model.cost.run_ms:.2f} against "
            f"{comparison.against.cost.run_ms:.2f} ms (at most {limits.max_latency_ratio:g}x), on {describe()}",
        )
    )
    return checks


def _check(name: str, fine: bool, detail: str) -> Check:
    return (
        Check(name, "pass", f"{detail}.") if fine else Check(name, "fail", f"{detail}.", "Outside the release limits.")
    )
