"""The report: arms of one experiment or of all models, compared with one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelkit.errors import ModelkitError
from modelkit.traffic.arms import quantiles
from modelkit.traffic.inference import Share, sample_ratio, two_sided
from modelkit.traffic.names import listed
from modelkit.traffic.verdict import Comparison, Plan, compare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelkit.traffic.arms import Arm
    from modelkit.traffic.collection import Traffic

# A smaller p-value of the ratio of arms is a mismatch. It is checked often, so the limit is far below 0.05.
MISMATCH = 0.001
# What decides on an arm for many requests at once: counts of requests say little about the ratio of callers.
BY_CALLER = frozenset({"header", "api-key", "token-subject", "source-address"})


@dataclass(frozen=True)
class SampleRatio:
    """Requests of the arms against their weights.

    Attributes
    ----------
    by_caller
        Whether callers, and not requests, get an arm: a mismatch may then be a few busy callers.
    """

    counts: Mapping[str, int]
    weights: Mapping[str, float]
    p_value: float
    by_caller: bool

    @property
    def mismatch(self) -> bool:
        """Whether the counts are not those of the weights."""
        return self.p_value < MISMATCH

    def to_json(self) -> dict[str, Any]:
        """Return JSON's types."""
        about = {"p_value": self.p_value, "mismatch": self.mismatch, "by_caller": self.by_caller}
        return {"requests": dict(self.counts), "weights": dict(self.weights), **about}


@dataclass(frozen=True)
class Report:
    """Comparison of the arms of a log.

    Attributes
    ----------
    experiment
        None if the arms are the models of all requests, which were not assigned at random.
    """

    traffic: Traffic
    plan: Plan
    experiment: str | None
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]
    ratio: SampleRatio | None

    @property
    def rejected(self) -> bool:
        """Whether a challenger is worse or violates a guardrail, or the ratio of the arms is wrong."""
        mismatch = self.ratio is not None and self.ratio.mismatch and not self.ratio.by_caller
        return mismatch or any(item.verdict in ("worse", "guardrail violated") for item in self.comparisons)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON's types."""
        traffic, z = self.traffic, two_sided(1 - self.plan.confidence)
        return {
            "experiment": self.experiment,
            "experiments": traffic.experiments,
            "plan": vars(self.plan),
            "arms": [arm.to_json() | {"accuracy_interval": _interval(arm.accuracy, z)} for arm in self.arms],
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "sample_ratio": None if self.ratio is None else self.ratio.to_json(),
            "shadow": [
                {
                    "champion": champion,
                    "challenger": challenger,
                    "compared": test.compared,
                    "agreement": round(test.agreement.value, 5),
                    "agreement_interval": _interval(test.agreement, z),
                    "mean_difference": round(test.difference_sum / test.compared, 6),
                    "p99_difference": round(test.difference.quantile(0.99) or 0.0, 6),
                    "champion_model_ms": quantiles(test.champion),
                    "challenger_model_ms": quantiles(test.challenger),
                }
                for (champion, challenger), test in sorted(traffic.shadow.items())
            ],
            "shadow_failures": [
                {"challenger": challenger, "code": code, "count": number}
                for (challenger, code), number in sorted(traffic.shadow_failures.items())
            ],
            "lines": {
                "read": traffic.lines,
                "requests": traffic.requests,
                "other": traffic.other_lines,
                "duplicates": traffic.duplicates,
                "outside_the_time": traffic.outside,
                "overrides": traffic.overrides,
                "without_experiment": traffic.without_arm,
                "damaged": {
                    kind: {"count": number, "places": traffic.places.get(kind, [])}
                    for kind, number in traffic.damage.most_common()
                },
                "labels_without_line": traffic.unmatched,
                "labels_of_batches": traffic.labelled_batches,
                "left_out": sorted(traffic.left_out),
            },
            "refused": self.rejected,
        }


def summarize(
    traffic: Traffic,
    plan: Plan,
    *,
    by: str = "auto",
    experiment: str | None = None,
    baseline: str | None = None,
    weights: Mapping[str, float] | None = None,
) -> Report:
    """Compare the arms of a log.

    Parameters
    ----------
    by
        ``arm``, ``model``, or ``auto``: the arms of the experiment if the log has one, else the models.
    experiment
        Which one, if the log has several.
    baseline
        Name of the arm that the others are compared with; by default the one with the most images.
    weights
        Share of each arm, in any unit.

    Raises
    ------
    modelkit.errors.ModelkitError
        If the log has no such experiment or arm, or no arm at all.
    """
    chosen = _experiment(traffic, by, experiment)
    arms = sorted(traffic.arms(chosen).values(), key=lambda arm: (-arm.images, arm.name))
    if not arms and not traffic.shadow and not traffic.shadow_failures:
        if not traffic.lines:
            raise ModelkitError(
                "There is no line to read: the file is empty or not a text, or the time range has none."
            )
        raise ModelkitError(
            f"None of the {traffic.lines:,} lines is a classification of this function. Give the log group of the "
            "function, /aws/lambda/loupe-<env>; with function.log_level above INFO there are no request lines, only "
            "metrics: try --metrics."
        )
    names = [arm.name for arm in arms]
    if baseline is not None and baseline not in names:
        raise ModelkitError(f"There is no arm {baseline[:100]!r}. There are: {listed(names)}.")
    first = next((arm for arm in arms if arm.name == baseline), arms[0] if arms else None)
    others = [arm for arm in arms if arm is not first]
    comparisons = tuple(
        compare(first, arm, plan, comparisons=len(others), agreement=_agreement(traffic, chosen, first.name, arm.name))
        for arm in others
        if first is not None
    )
    return Report(
        traffic,
        plan,
        chosen,
        tuple(arms if first is None else [first, *others]),
        comparisons,
        _ratio(arms, weights) if weights else None,
    )


def _experiment(traffic: Traffic, by: str, experiment: str | None) -> str | None:
    names = traffic.experiments
    if by == "model":
        return None
    if experiment is not None:
        if experiment not in names:
            raise ModelkitError(f"The log has no experiment {experiment[:100]!r}. It has: {listed(names) or 'none'}.")
        return experiment
    if len(names) > 1:
        raise ModelkitError(f"The log has several experiments: {listed(names)}. Choose one: --experiment NAME.")
    if by == "arm" and not names:
        raise ModelkitError("No line of the log has an arm of an experiment. Compare models: --by model.")
    return names[0] if names else None


def _agreement(traffic: Traffic, experiment: str | None, first: str, second: str) -> Share:
    both = [
        answers[first] == answers[second]
        for answers in traffic.answers_of(experiment)
        if first in answers and second in answers
    ]
    return Share(sum(both), len(both))


def _ratio(arms: list[Arm], weights: Mapping[str, float]) -> SampleRatio:
    counts = dict.fromkeys(weights, 0) | {arm.name: arm.requests for arm in arms}
    if missing := [name for name in counts if name not in weights]:
        raise ModelkitError(f"--weights has no weight of {listed(missing)}.")
    if not any(weights.values()):
        raise ModelkitError("--weights: one weight at least must be above 0.")
    # Metrics do not say what arms were assigned by: it may be the caller.
    by_caller = any(BY_CALLER & arm.assigned_by.keys() or not arm.assigned_by for arm in arms)
    return SampleRatio(counts, weights, sample_ratio(counts, weights), by_caller)


def _interval(share: Share, z: float) -> list[float] | None:
    return [round(bound, 5) for bound in share.interval(z)] if share.total else None
