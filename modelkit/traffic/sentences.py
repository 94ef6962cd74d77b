"""The conclusions of a report as sentences."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelkit.traffic.arms import SERVER_FAULTS
from modelkit.traffic.names import listed, plain

if TYPE_CHECKING:
    from modelkit.traffic.summary import Report, SampleRatio
    from modelkit.traffic.verdict import Comparison, Guardrail

_MIN_LABELLED = 30


def conclusions(comparison: Comparison) -> list[str]:
    """Return what a comparison says, the verdict first."""
    baseline, challenger = plain(comparison.baseline.name), plain(comparison.challenger.name)
    sentences = [f"{challenger} against {baseline}: {comparison.verdict.upper()}."]
    sentences += [_guardrail(guardrail) for guardrail in comparison.guardrails if guardrail.status != "held"]
    if comparison.difference is None:
        return [*sentences, "Nothing is known about which of them is right more often: no labels of both (--labels)."]
    level = f"{1 - comparison.alpha:.2%}".replace(".00%", "%").replace("%", " %")
    low, high = comparison.interval
    direction = "higher" if comparison.difference >= 0 else "lower"
    sentences.append(
        f"The accuracy of {challenger} is {abs(comparison.difference) * 100:.2f} percentage points {direction} "
        f"({level} interval {_points(low)} to {_points(high)})."
    )
    if comparison.verdict == "no difference shown yet":
        sentences.append(_labels_needed(comparison, baseline, challenger))
    if min(comparison.baseline.labelled, comparison.challenger.labelled) < _MIN_LABELLED:
        sentences.append(f"An arm has fewer than {_MIN_LABELLED} labelled images: the intervals are rough.")
    elif min(comparison.baseline.independent_units, comparison.challenger.independent_units) < _MIN_LABELLED:
        sentences.append(
            f"The labels of an arm belong to fewer than {_MIN_LABELLED} units: the interval is too narrow."
        )
    return sentences


def _labels_needed(comparison: Comparison, baseline: str, challenger: str) -> str:
    least = f"{comparison.plan.minimum_difference * 100:g} points"
    if comparison.excludes_minimum:
        return f"The interval excludes a difference of {least}: either arm will do, by accuracy."
    needed = comparison.needed
    if needed is None:
        return f"A difference of {least} is not possible at this accuracy: choose a smaller one (--min-difference)."
    power = f"A difference of {least} is found with a probability of {comparison.plan.power:.0%}".replace("%", " %")
    if not needed.baseline_missing and not needed.challenger_missing:
        return f"{power} by as many labels as there are, and none was shown; the interval does not exclude it."
    return (
        f"{power} by {needed.baseline:,} labelled images of {baseline} ({needed.baseline_missing:,} more) and "
        f"{needed.challenger:,} of {challenger} ({needed.challenger_missing:,} more)."
    )


def _guardrail(guardrail: Guardrail) -> str:
    low, high = guardrail.bounds
    if guardrail.value is None:
        return f"Guardrail {guardrail.name}: no requests to judge it by."
    figure = f"{guardrail.value:.4g}, limit {guardrail.limit:g}"
    if guardrail.status == "violated":
        return f"Guardrail {guardrail.name}: {figure}; at least {low:.4g}, so the limit is passed."
    bound = "there are too few requests for a bound" if high is None else f"up to {high:.4g} is possible"
    return f"Guardrail {guardrail.name}: {figure}; not shown to hold yet, {bound}."


def ratio_sentence(ratio: SampleRatio) -> str:
    """Return what the ratio of the arms says."""
    counts = ", ".join(f"{plain(name)} {number:,}" for name, number in ratio.counts.items())
    if not ratio.mismatch:
        return f"Requests follow the weights ({counts}; chi-square p = {ratio.p_value:.3g})."
    first = f"SAMPLE RATIO MISMATCH: requests do not follow the weights ({counts}; chi-square p = {ratio.p_value:.2g})."
    if ratio.by_caller:
        return f"{first} Arms are given to callers, so a few busy ones may be the cause: count callers before you act."
    return f"{first} Find the cause before you use this comparison: arms may differ in who they serve."


def notes(report: Report) -> list[str]:
    """Return what a reader has to know about the data."""
    traffic, lines = report.traffic, []
    times = [time for arm in report.arms for time in (arm.first, arm.last) if time is not None]
    if times:
        lines.append(f"From {_clock(min(times))} to {_clock(max(times))}.")
    if report.experiment is None and len(report.arms) > 1:
        lines.append(
            "Nobody assigned these arms at random: differences may come from who sent what, and when. An experiment "
            "assigns them."
        )
    if traffic.duplicates:
        lines.append(f"{traffic.duplicates:,} lines repeat a request and are left out.")
    if traffic.requests > traffic.remembered:
        lines.append(f"Repeated requests are found among the latest {traffic.remembered // 2:,} only.")
    if traffic.overrides:
        lines.append(f"{traffic.overrides:,} requests chose their arm themselves and belong to none.")
    if report.experiment is not None and traffic.without_arm:
        lines.append(f"{traffic.without_arm:,} requests are not part of an experiment.")
    if traffic.outside:
        lines.append(f"{traffic.outside:,} lines are outside the time.")
    for kind, number in traffic.damage.most_common(10):
        lines.append(f"{number:,} lines cannot be read ({plain(kind)}): {listed(traffic.places.get(kind, []))}.")
    if traffic.left_out:
        lines.append(f"There are more {listed(sorted(traffic.left_out))} than are compared; the rest is left out.")
    if traffic.unmatched:
        lines.append(f"{traffic.unmatched:,} labels are of requests that the log does not have.")
    if traffic.labelled_batches:
        lines.append(
            f"{traffic.labelled_batches:,} labels are of batches, whose lines do not say which image got what."
        )
    effect = max((arm.design_effect for arm in report.arms), default=1.0)
    if effect > 1.05:
        lines.append(f"Requests of one unit are alike: up to {effect:.1f} labels count as one in the intervals.")
    if any(code in SERVER_FAULTS for arm in report.arms for code in arm.problems):
        lines.append("Server faults are problems of status 5xx, apart from deadline_exceeded.")
    return lines


def _points(bound: float | None) -> str:
    return "?" if bound is None else f"{bound * 100:+.2f}"


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
