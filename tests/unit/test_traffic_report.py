"""From log lines to verdicts: which lines count, what is concluded, and what is shown."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from traffic_lines import add_up, in_arm, line, shadow

from modelkit.errors import ModelkitError
from modelkit.traffic.arms import MAX_NAMES, OTHERS, Arm
from modelkit.traffic.collection import MAX_ARMS, RecentIds, Traffic, Window
from modelkit.traffic.inference import Share
from modelkit.traffic.labels import Truth, read_labels
from modelkit.traffic.page import as_page
from modelkit.traffic.records import read
from modelkit.traffic.sentences import conclusions
from modelkit.traffic.summary import summarize
from modelkit.traffic.text import as_text
from modelkit.traffic.verdict import Plan, compare

PLAN = Plan()


def two_arms(count: int = 400, **challenger: Any) -> list[dict[str, Any]]:
    """The same number of requests of two arms in turn; the second one's lines have these fields."""
    return [
        in_arm(number, "control") if number % 2 == 0 else in_arm(number, "challenger", **challenger)
        for number in range(2 * count)
    ]


def labels(count: int, right: dict[int, float]) -> dict[str, Truth]:
    """Labels of `two_arms`: by the remainder of the number, the share of right answers."""
    return {
        f"request-{number}": Truth("curly" if (number // 2) % 100 < 100 * right[number % 2] else "straight")
        for number in range(2 * count)
    }


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


def test_each_request_counts_once_in_any_order() -> None:
    lines = two_arms(50)
    traffic = add_up(*lines, *reversed(lines))
    assert (traffic.requests, traffic.duplicates) == (100, 100)
    control = traffic.arms("large")["control"]
    assert (control.requests, control.latency.count) == (50, 50)
    assert control.first == read(lines[0])[0].time
    assert control.last == read(lines[98])[0].time


def test_the_memory_of_request_ids_is_bounded() -> None:
    ids = RecentIds(10)
    assert all(ids.is_new(str(number)) for number in range(100))
    assert len(ids._newer) + len(ids._older) <= 10
    assert not ids.is_new("99")
    assert ids.is_new("1")


def test_lines_outside_the_time_are_left_out() -> None:
    start = read(line(0))[0].time
    assert start is not None
    traffic = add_up(*(line(number) for number in range(10)), window=Window(start + 2, start + 5))
    assert (traffic.requests, traffic.outside) == (3, 7)


def test_requests_that_chose_their_arm_or_have_none_are_not_part_of_the_experiment() -> None:
    traffic = add_up(in_arm(1, "a"), in_arm(2, "b", arm_by="override"), line(3))
    assert (list(traffic.arms("large")), traffic.overrides, traffic.without_arm) == (["a"], 1, 1)
    assert sum(item.requests for item in traffic.arms(None).values()) == 3


def test_a_batch_counts_its_images() -> None:
    batch = line(1, route="batch", label=None, probability=None, items=5, item_codes={"model_failed": 2},
                 item_labels={"curly": 3})  # fmt: skip
    (figures,) = add_up(batch).arms(None).values()
    assert (figures.requests, figures.images, figures.batches, figures.faults) == (1, 5, 1, 2)
    assert (figures.labels["curly"], figures.latency.count, figures.batch_latency.count) == (3, 0, 1)


def test_names_of_a_hostile_log_are_bounded() -> None:
    many = add_up(*(line(number, label=f"l{number}", model=f"m{number % 60}") for number in range(3000)))
    assert len(many.arms(None)) == MAX_ARMS
    assert many.left_out == {"arms"}
    one = add_up(*(line(number, label=f"l{number}") for number in range(3000)))
    (figures,) = one.arms(None).values()
    assert len(figures.labels) == MAX_NAMES + 1
    assert figures.labels[OTHERS] == 2000


def test_the_better_arm_is_found() -> None:
    traffic = add_up(*two_arms(), truths=labels(400, {0: 0.9, 1: 0.97}))
    report = summarize(traffic, PLAN, baseline="control")
    (comparison,) = report.comparisons
    assert comparison.verdict == "better"
    assert comparison.difference == pytest.approx(0.07)
    assert not report.refused
    assert "The accuracy of challenger is 7.00 percentage points higher" in as_text(report)


def test_the_worse_arm_is_refused() -> None:
    traffic = add_up(*two_arms(), truths=labels(400, {0: 0.97, 1: 0.9}))
    report = summarize(traffic, PLAN, baseline="control")
    assert [item.verdict for item in report.comparisons] == ["worse"]
    assert report.refused


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
    assert wrong.refused
    assert "SAMPLE RATIO MISMATCH" in as_text(wrong)
    with pytest.raises(ModelkitError, match="no weight of challenger"):
        summarize(traffic, PLAN, weights={"control": 1})


def test_a_mismatch_of_arms_that_callers_get_is_a_warning() -> None:
    traffic = add_up(*(in_arm(number, "a" if number else "b", arm_by="api-key") for number in range(200)))
    report = summarize(traffic, PLAN, weights={"a": 1, "b": 1})
    assert report.ratio is not None
    assert (report.ratio.mismatch, report.ratio.by_caller, report.refused) == (True, True, False)
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


def test_arms_agree_where_they_answered_the_same_image() -> None:
    lines = [in_arm(number, "ab"[number % 2], label="curly" if number % 8 else "straight") for number in range(80)]
    truths = {f"request-{number}": Truth("curly", image=f"image-{number // 2}") for number in range(80)}
    (comparison,) = summarize(add_up(*lines, truths=truths), PLAN).comparisons
    # Every fourth image has the label straight from arm a alone.
    assert (comparison.agreement.total, comparison.agreement.value) == (40, 0.75)


def test_shadow_comparisons_are_summed_up() -> None:
    lines = [shadow(agrees=number % 10 > 0, difference=0.1) for number in range(100)]
    failed = {**shadow(), "message": "comparison failed", "champion": "hair-type", "code": "sample_invalid"}
    report = summarize(add_up(*lines, failed), PLAN)
    value = report.to_json()
    assert value["shadow"][0]["agreement"] == 0.9
    assert value["shadow"][0]["mean_difference"] == pytest.approx(0.1)
    assert value["shadow_failures"][0]["count"] == 1
    assert "90.00 %" in as_text(report)


def test_models_are_compared_where_there_is_no_experiment() -> None:
    lines = [line(number, model="hair-type" if number % 3 else "hair-type-large") for number in range(30)]
    report = summarize(add_up(*lines), PLAN)
    assert [item.name.partition(" ")[0] for item in report.arms] == ["hair-type", "hair-type-large"]
    assert "Nobody assigned these arms at random" in as_text(report)


def test_one_arm_is_shown_and_not_compared() -> None:
    report = summarize(add_up(line(1)), PLAN)
    assert (len(report.arms), report.comparisons, report.refused) == (1, (), False)
    assert "one arm only" in as_text(report)


def test_what_cannot_be_compared_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ModelkitError, match="try --metrics"):
        summarize(Traffic(), PLAN)
    several = add_up(in_arm(1, "a"), in_arm(2, "a", experiment="other"))
    with pytest.raises(ModelkitError, match=r"several experiments: large, other\. Choose one"):
        summarize(several, PLAN)
    assert summarize(several, PLAN, experiment="other").experiment == "other"
    with pytest.raises(ModelkitError, match="no experiment 'none'"):
        summarize(several, PLAN, experiment="none")
    with pytest.raises(ModelkitError, match=r"There is no arm 'c'\. There are: a"):
        summarize(several, PLAN, experiment="large", baseline="c")
    with pytest.raises(ModelkitError, match="--by model"):
        summarize(add_up(line(1)), PLAN, by="arm")


def test_a_multilabel_answer_is_right_if_all_its_labels_are() -> None:
    truth = Truth("tall | curly")
    assert truth.is_right("curly", ("curly", "tall"))
    assert not truth.is_right("curly", ("curly",))
    assert Truth("").is_right("curly", ())


def test_labels_of_batches_and_of_other_requests_are_counted() -> None:
    batch = line(1, route="batch", label=None, probability=None, items=2, item_labels={"curly": 2})
    failed = line(2, label=None, probability=None, code="image_undecodable", status=422)
    truths = {f"request-{number}": Truth("curly") for number in (1, 2, 3)}
    traffic = add_up(batch, failed, truths=truths)
    (figures,) = traffic.arms(None).values()
    assert (traffic.labelled_batches, traffic.unmatched, figures.unanswered, figures.labelled) == (1, 1, 1, 0)
    text = as_text(summarize(traffic, PLAN))
    assert "1 labels are of batches" in text
    assert "1 labels are of requests that the log does not have" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,label\na,b\n", "first line must be request_id,label"),
        (b"", "first line must be"),
        (b"request_id,label\n", "has no rows"),
        (b"request_id,label\na,b\na,c\n", ":3: the row says something else about an earlier request"),
        (b"request_id,label\n,b\n", ":2: the row has no request_id"),
        (b"request_id,label\na,\xff\n", "not UTF-8"),
        (b'request_id,label\na,"b\n', "not CSV"),
    ],
)
def test_damaged_labels_are_an_error_with_their_line(tmp_path, content, message) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(ModelkitError, match=message):
        read_labels(path)


def test_labels_are_read_with_their_optional_columns(tmp_path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(
        b"\xef\xbb\xbfrequest_id,label,image,unit,note\na, curly ,1.jpg,caller,x\na,curly,1.jpg,caller,y\n"
    )
    assert read_labels(path) == {"a": Truth("curly", "1.jpg", "caller")}


HOSTILE = "<script>alert(1)</script>&\"'\x1b[31m\u202e$x_{2}$"


class Elements(HTMLParser):
    """Tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]


def test_texts_of_the_log_are_escaped_everywhere() -> None:
    lines = [
        in_arm(number, f"{HOSTILE}{number % 2}", label=HOSTILE, model=HOSTILE, stages_ms={HOSTILE: 1.0},
               experiment=HOSTILE, arm_by=HOSTILE)
        for number in range(60)
    ]  # fmt: skip
    failed = in_arm(99, f"{HOSTILE}0", experiment=HOSTILE, label=None, code=HOSTILE)
    truths = {f"request-{number}": Truth(HOSTILE, image=str(number // 2)) for number in range(60)}
    traffic = add_up(*lines, failed, shadow(champion=HOSTILE, challenger=HOSTILE), truths=truths)
    report = summarize(traffic, PLAN, weights={f"{HOSTILE}0": 1, f"{HOSTILE}1": 1})
    page = as_page(report)
    parser = Elements()
    parser.feed(page)
    assert "script" not in parser.tags
    assert parser.tags.count("svg") == 4
    assert "&lt;script&gt;" in page
    for text in (as_text(report), page):
        assert "\x1b" not in text
        assert "\u202e" not in text
    json.loads(json.dumps(report.to_json()))


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = as_page(summarize(add_up(*two_arms(20), truths=labels(20, {0: 1.0, 1: 0.5})), PLAN, baseline="control"))
    assert page.startswith("<!doctype html>")
    assert "src=" not in page
    assert "<link" not in page
    for expected in ("challenger against control", "Accuracy with its interval", "Label mix", "Guardrails"):
        assert expected in page


def test_one_arm_without_answers_has_a_page() -> None:
    failed = line(1, label=None, probability=None, code="image_undecodable", status=422)
    page = as_page(summarize(add_up(failed), PLAN))
    assert "image_undecodable" in page
    assert "<svg" not in page
