"""Conclusions from the figures of two arms, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelkit.traffic.inference import (
    Interval,
    Share,
    difference_interval,
    one_sided,
    ratio_interval,
    required_sample,
    two_sided,
)

if TYPE_CHECKING:
    from modelkit.traffic.arms import Arm

Verdict = Literal["better", "worse", "no difference shown yet", "guardrail violated"]
Status = Literal["held", "violated", "not shown yet"]
LATENCY_SHARE = 0.95


@dataclass(frozen=True)
class Plan:
    """Parameters that are decided before the traffic is evaluated.

    Attributes
    ----------
    confidence
        Of the intervals of accuracy of all challengers together, and of each guardrail, 0 to 1.
    power
        Probability of finding ``minimum_difference`` where it is there.
    minimum_difference
        Smallest difference of accuracy that matters, 0 to 1.
    max_latency_ratio, max_error_increase
        Limits of the guardrails: p95 of the challenger over that of the baseline; difference of the shares of images
        with a server fault.
    looks
        How many such reports are planned: each look gets an equal share of the error (Bonferroni).
    """

    confidence: float = 0.95
    power: float = 0.8
    minimum_difference: float = 0.02
    max_latency_ratio: float = 1.2
    max_error_increase: float = 0.01
    looks: int = 1

    def alpha(self, comparisons: int) -> float:
        """Return the probability of error per comparison and look (Bonferroni)."""
        return (1 - self.confidence) / self.looks / max(1, comparisons)


@dataclass(frozen=True)
class Guardrail:
    """A figure that must not pass a limit, with one-sided bounds: None where there are too few requests for one."""

    name: str
    value: float | None
    bounds: Interval
    limit: float

    @property
    def status(self) -> Status:
        """``violated`` or ``held`` if the bounds are on one side of the limit."""
        if self.bounds.low is not None and self.bounds.low > self.limit:
            return "violated"
        if self.bounds.high is not None and self.bounds.high <= self.limit:
            return "held"
        return "not shown yet"

    def to_json(self) -> dict[str, Any]:
        """Return JSON's types."""
        figures = {"value": self.value, "low": self.bounds.low, "high": self.bounds.high}
        rounded = {name: None if figure is None else round(figure, 5) for name, figure in figures.items()}
        return {"name": self.name, "status": self.status, "limit": self.limit, **rounded}


@dataclass(frozen=True)
class SampleSize:
    """Labelled answers for ``minimum_difference``: in all, and those still missing, of baseline and challenger."""

    baseline: int
    challenger: int
    baseline_missing: int
    challenger_missing: int


@dataclass(frozen=True)
class Comparison:
    """A challenger against the baseline.

    Attributes
    ----------
    difference
        Of accuracy, challenger minus baseline, with its interval; None without labels in both arms.
    agreement
        Of images that both arms answered; its total is 0 without any.
    """

    baseline: Arm
    challenger: Arm
    plan: Plan
    alpha: float
    difference: float | None
    interval: Interval
    needed: SampleSize | None
    guardrails: tuple[Guardrail, ...]
    agreement: Share

    @property
    def verdict(self) -> Verdict:
        """The conclusion; a violated guardrail comes before any gain."""
        if any(guardrail.status == "violated" for guardrail in self.guardrails):
            return "guardrail violated"
        if self.interval.low is not None and self.interval.low > 0:
            return "better"
        if self.interval.high is not None and self.interval.high < 0:
            return "worse"
        return "no difference shown yet"

    @property
    def excludes_minimum(self) -> bool:
        """Whether a difference as large as the smallest that matters is outside the interval."""
        low, high, least = self.interval.low, self.interval.high, self.plan.minimum_difference
        return low is not None and high is not None and -least < low and high < least

    def to_json(self) -> dict[str, Any]:
        """Return JSON's types; shares and differences of shares are 0 to 1."""
        low, high = self.agreement.interval(two_sided(self.alpha))
        return {
            "baseline": self.baseline.name,
            "challenger": self.challenger.name,
            "verdict": self.verdict,
            "confidence": round(1 - self.alpha, 6),
            "accuracy_difference": None if self.difference is None else round(self.difference, 5),
            "interval": [None if bound is None else round(bound, 5) for bound in self.interval],
            "excludes_minimum_difference": self.excludes_minimum,
            "needed": None if self.needed is None else vars(self.needed),
            "guardrails": [guardrail.to_json() for guardrail in self.guardrails],
            "agreement": None
            if not self.agreement.total
            else {
                "images": int(self.agreement.total),
                "share": round(self.agreement.value, 5),
                "interval": [round(low, 5), round(high, 5)],
            },
        }


def compare(baseline: Arm, challenger: Arm, plan: Plan, *, comparisons: int, agreement: Share) -> Comparison:
    """Compare two arms; ``comparisons`` is how many challengers there are."""
    alpha = plan.alpha(comparisons)
    first, second = baseline.accuracy, challenger.accuracy
    labelled = bool(first.total and second.total)
    return Comparison(
        baseline,
        challenger,
        plan,
        alpha,
        second.value - first.value if labelled else None,
        Interval(*difference_interval(first, second, two_sided(alpha))) if labelled else Interval(None, None),
        _needed(baseline, challenger, plan, alpha) if labelled else None,
        (_latency(baseline, challenger, plan, alpha), _errors(baseline, challenger, plan, alpha)),
        agreement,
    )


def _latency(baseline: Arm, challenger: Arm, plan: Plan, alpha: float) -> Guardrail:
    name = "p95 latency, ratio"
    first, second = baseline.latency.quantile(LATENCY_SHARE), challenger.latency.quantile(LATENCY_SHARE)
    if not first or not second:
        return Guardrail(name, None, Interval(None, None), plan.max_latency_ratio)
    z = one_sided(alpha)
    bounds = ratio_interval(
        (first, baseline.latency.quantile_interval(LATENCY_SHARE, z)),
        (second, challenger.latency.quantile_interval(LATENCY_SHARE, z)),
    )
    return Guardrail(name, second / first, bounds, plan.max_latency_ratio)


def _errors(baseline: Arm, challenger: Arm, plan: Plan, alpha: float) -> Guardrail:
    name = "server faults, difference of shares"
    if not baseline.images or not challenger.images:
        return Guardrail(name, None, Interval(None, None), plan.max_error_increase)
    bounds = Interval(*difference_interval(baseline.faulty, challenger.faulty, one_sided(alpha)))
    return Guardrail(name, challenger.faulty.value - baseline.faulty.value, bounds, plan.max_error_increase)


def _needed(baseline: Arm, challenger: Arm, plan: Plan, alpha: float) -> SampleSize | None:
    """Return the sample size at the accuracy so far, if further labels arrive at the present ratio."""
    # Two hits and four trials more (Agresti and Coull 1998), so that few answers do not say that all are right.
    share = (baseline.right + 2) / (baseline.labelled + 4)
    ratio = challenger.labelled / baseline.labelled
    # The harder of both directions.
    others = [other for sign in (-1, 1) if 0 < (other := share + sign * plan.minimum_difference) < 1]
    effect = max(baseline.design_effect, challenger.design_effect)
    if not others:
        # No accuracy differs by so much from this one.
        return None
    first = round(effect * max(required_sample(share, other, alpha, plan.power, ratio) for other in others))
    second = round(first * ratio)
    return SampleSize(first, second, max(0, first - baseline.labelled), max(0, second - challenger.labelled))
