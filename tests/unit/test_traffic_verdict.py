"""From the figures of arms to verdicts: accuracy, guardrails, the ratio of the arms, and tests of equal arms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from traffic_lines import PLAN, add_up, in_arm, labels, line, two_arms

from modelkit.errors import ModelkitError
from modelkit.traffic.arms import Arm
from modelkit.traffic.inference import Share
from modelkit.traffic.labels import Truth
from modelkit.traffic.records import read
from modelkit.traffic.sentences import conclusions
from modelkit.traffic.summary import summarize
from modelkit.traffic.text import as_text
from modelkit.traffic.verdict import Plan, compare


def arm(
    name: str, right: int, labelled: int, *, milliseconds: float = 20.0, images: int = 1000, faults: int = 0
) -> Arm:
    figures = Arm(name)
    figures.right, figures.labelled, figures.images, figures.requests, figures.faults = (
        right,
        labelled,
        images,
        images,
        faults,
    )
    for number in range(200):
        figures.latency.add(milliseconds * (1 + number / 200))
    return figures


def test_the_better_arm_is_identified() -> None:
    traffic = add_up(*two_arms(), truths=labels(400, {0: 0.9, 1: 0.97}))
    report = summarize(traffic, PLAN, baseline="control")
    (comparison,) = report.comparisons
    assert comparison.verdict == "better"
    assert comparison.difference == pytest.approx(0.07)
    assert not report.rejected
    assert "The accuracy of challenger is 7.00 percentage points higher" in as_text(report)


def test_the_worse_arm_is_rejected() -> None:
    traffic = add_up(*two_arms(), truths=labels(400, {0: 0.97, 1: 0.9}))
    report = summarize(traffic, PLAN, baseline="control")
    assert [item.verdict for item in report.comparisons] == ["worse"]
    assert report.rejected


def test_a_small_sample_shows_nothing_and_says_how_many_labels_are_missing() -> None:
    traffic = add_up(*two_arms(10), truths=labels(10, {0: 1.0, 1: 1.0}))
    report = summarize(traffic, PLAN, baseline="control")
    (comparison,) = report.comparisons
    assert comparison.verdict == "no difference shown yet"
    assert comparison.needed is not None
    assert comparison.needed.baseline_missing == comparison.needed.baseline - 10 > 1000
    text = as_text(report)
    assert f"({comparison.needed.baseline_missing:,} more)" in text
    assert "fewer than 30 labelled images" in text


def test_without_labels_nothing_is_said_about_accuracy() -> None:
    report = summarize(add_up(*two_arms(50)), PLAN)
    (comparison,) = report.comparisons
    assert (comparison.difference, comparison.needed, comparison.verdict) == (None, None, "no difference shown yet")
    assert "no labels of both" in as_text(report)


def test_equal_arms_with_many_labels_exclude_a_difference_that_matters() -> None:
    comparison = compare(arm("a", 9500, 10_000), arm("b", 9505, 10_000), PLAN, comparisons=1, agreement=Share(0, 0))
    assert comparison.verdict == "no difference shown yet"
    assert comparison.excludes_minimum


def test_a_difference_that_is_not_possible_has_no_sample_size() -> None:
    comparison = compare(arm("a", 50, 100), arm("b", 50, 100), Plan(minimum_difference=0.5), comparisons=1,
                         agreement=Share(0, 0))  # fmt: skip
    # The interval excludes so large a difference in the first place.
    assert (comparison.needed, comparison.excludes_minimum) == (None, True)
    few = compare(arm("a", 1, 2), arm("b", 1, 2), Plan(minimum_difference=0.5), comparisons=1, agreement=Share(0, 0))
    assert any("not possible at this accuracy" in sentence for sentence in conclusions(few))


def test_a_slow_challenger_violates_its_guardrail_although_it_is_better() -> None:
    traffic = add_up(*two_arms(duration_ms=40.0), truths=labels(400, {0: 0.9, 1: 0.97}))
    (comparison,) = summarize(traffic, PLAN, baseline="control").comparisons
    latency, errors = comparison.guardrails
    assert comparison.verdict == "guardrail violated"
    assert (latency.status, errors.status) == ("violated", "held")
    assert latency.value == pytest.approx(2.0, rel=0.01)


def test_a_failing_challenger_violates_its_guardrail() -> None:
    failing = arm("b", 95, 100, images=1000, faults=60)
    comparison = compare(arm("a", 95, 100), failing, PLAN, comparisons=1, agreement=Share(0, 0))
    assert comparison.guardrails[1].status == "violated"
    assert comparison.verdict == "guardrail violated"


def test_a_guardrail_with_few_requests_is_not_shown_to_hold() -> None:
    small = Arm("b")
    small.images = small.requests = 5
    small.latency.add(20.0)
    comparison = compare(arm("a", 95, 100), small, PLAN, comparisons=1, agreement=Share(0, 0))
    assert {item.status for item in comparison.guardrails} == {"not shown yet"}
    empty = compare(Arm("a"), Arm("b"), PLAN, comparisons=1, agreement=Share(0, 0))
    assert {item.value for item in empty.guardrails} == {None}
    assert empty.verdict == "no difference shown yet"


def test_more_looks_and_arms_ask_for_more_evidence() -> None:
    first, second = arm("a", 900, 1000), arm("b", 928, 1000)

    def verdict(plan: Plan, comparisons: int) -> str:
        return compare(first, second, plan, comparisons=comparisons, agreement=Share(0, 0)).verdict

    assert verdict(PLAN, 1) == "better"
    assert verdict(PLAN, 3) == verdict(Plan(looks=5), 1) == "no difference shown yet"


def test_the_ratio_of_the_arms_is_checked_against_the_weights() -> None:
    traffic = add_up(*two_arms())
    fine = summarize(traffic, PLAN, weights={"control": 1, "challenger": 1})
    assert fine.ratio is not None
    assert not fine.ratio.mismatch
    wrong = summarize(traffic, PLAN, weights={"control": 60, "challenger": 40})
    assert wrong.ratio is not None
    assert wrong.ratio.mismatch
    assert wrong.rejected
    assert "SAMPLE RATIO MISMATCH" in as_text(wrong)
    with pytest.raises(ModelkitError, match="no weight of challenger"):
        summarize(traffic, PLAN, weights={"control": 1})


def test_a_mismatch_of_arms_that_callers_get_is_a_warning() -> None:
    traffic = add_up(*(in_arm(number, "a" if number else "b", arm_by="api-key") for number in range(200)))
    report = summarize(traffic, PLAN, weights={"a": 1, "b": 1})
    assert report.ratio is not None
    assert (report.ratio.mismatch, report.ratio.by_caller, report.rejected) == (True, True, False)
    assert "count callers" in as_text(report)


def test_an_arm_of_the_weights_without_requests_is_a_mismatch() -> None:
    traffic = add_up(*(in_arm(number, "control") for number in range(100)))
    report = summarize(traffic, PLAN, weights={"control": 1, "challenger": 1})
    assert report.ratio is not None
    assert report.ratio.mismatch


def test_equal_arms_are_rarely_said_to_differ() -> None:
    """A/A tests: with 95 %, about 5 % of them find a difference in either direction."""
    random, differences = np.random.default_rng(11), 0
    for _ in range(1000):
        first, second = Arm("a"), Arm("b")
        for item in (first, second):
            item.labelled, item.right = 300, int(random.binomial(300, 0.92))
        differences += compare(first, second, PLAN, comparisons=1, agreement=Share(0, 0)).verdict in ("better", "worse")
    assert 0.025 <= differences / 1000 <= 0.07


def test_equal_arms_of_callers_are_rarely_said_to_differ_if_labels_name_the_callers() -> None:
    """Each caller's images are of one kind, so that a caller's requests are right or wrong together."""
    random, with_units, without = np.random.default_rng(12), 0, 0
    answers = {right: read(line(0, label="curly" if right else "straight"))[0] for right in (True, False)}
    for _ in range(200):
        with_unit, without_unit = {}, {}
        for name in ("a", "b"):
            with_unit[name], without_unit[name] = Arm(name), Arm(name)
            for caller in range(60):
                for right in random.random(10) < random.beta(4, 1):
                    answer: Any = answers[bool(right)]
                    with_unit[name].add_truth(answer, Truth("curly", unit=str(caller)))
                    without_unit[name].add_truth(answer, Truth("curly"))
        verdicts = [
            compare(arms["a"], arms["b"], PLAN, comparisons=1, agreement=Share(0, 0)).verdict
            for arms in (with_unit, without_unit)
        ]
        with_units += verdicts[0] != "no difference shown yet"
        without += verdicts[1] != "no difference shown yet"
    assert with_units / 200 <= 0.09
    assert without > 1.5 * with_units


def test_requests_without_a_unit_count_for_themselves() -> None:
    figures = Arm("a")
    request = read(line(0))[0]
    for number in range(20):
        truth = Truth("curly" if number % 4 else "straight", unit="" if number < 10 else "one")
        figures.add_truth(request, truth)  # type: ignore[arg-type]
    assert figures.labelled == 20
    assert 1 <= figures.accuracy.total <= 20
    assert figures.accuracy.value == pytest.approx(figures.right / 20)


def test_agreement_counts_images_that_both_arms_classified() -> None:
    lines = [in_arm(number, "ab"[number % 2], label="curly" if number % 8 else "straight") for number in range(80)]
    truths = {f"request-{number}": Truth("curly", image=f"image-{number // 2}") for number in range(80)}
    (comparison,) = summarize(add_up(*lines, truths=truths), PLAN).comparisons
    # Every fourth image has the label straight from arm a alone.
    assert (comparison.agreement.total, comparison.agreement.value) == (40, 0.75)
