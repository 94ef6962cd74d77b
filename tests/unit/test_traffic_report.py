"""From log lines to a report: which lines count, what is compared, and what is shown."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from traffic_lines import PLAN, add_up, in_arm, labels, line, shadow, two_arms

from modelkit.errors import ModelkitError
from modelkit.traffic.arms import MAX_NAMES, OTHERS
from modelkit.traffic.collection import MAX_ARMS, RecentIds, Traffic, Window
from modelkit.traffic.labels import Truth
from modelkit.traffic.page import as_page
from modelkit.traffic.records import read
from modelkit.traffic.summary import summarize
from modelkit.traffic.text import as_text


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
    assert (len(report.arms), report.comparisons, report.rejected) == (1, (), False)
    assert "one arm only" in as_text(report)


def test_what_cannot_be_compared_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ModelkitError, match="the file is empty or not a text"):
        summarize(Traffic(), PLAN)
    other = Traffic()
    other.lines = 1
    with pytest.raises(ModelkitError, match="try --metrics"):
        summarize(other, PLAN)
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
