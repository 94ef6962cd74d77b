"""Reading the lines that the function writes itself, and rejecting what only looks like them."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import RED, jpeg, solid
from loupe.errors import ImageUndecodable, ModelFailed
from loupe.experiment import Assignment
from loupe.prediction import ModelInfo, Prediction
from loupe.settings import MetricsRules
from loupe.shadow.comparison import Comparer
from loupe.shadow.sample import Sample, event_of
from loupe.telemetry import Observation, Telemetry
from traffic_lines import add_up, in_arm, line, shadow

from modelkit.traffic.arms import SERVER_FAULTS
from modelkit.traffic.metric_lines import Metrics
from modelkit.traffic.records import Request, Shadow, parse, read
from modelkit.traffic.values import MAX_NAME, BadLineError

MODEL = ModelInfo("hair-type", "1.1.0", "float16", 2)
SCORES = (("curly", 0.9), ("straight", 0.1))


def written(capsys: Any, observation: Observation, **rules: Any) -> list[Any]:
    """Return the parsed log line of an observation."""
    Telemetry("prod", "INFO", MetricsRules(**rules), "on-demand").report(observation)
    return [record for text in capsys.readouterr().out.splitlines() for record in parse(text)]


def classified(**changes: Any) -> Observation:
    observation = Observation("id-1", "rest", MODEL, "classify")
    observation.prediction = Prediction("curly", 0.9, SCORES, model=MODEL)
    with observation.stages("model"):
        pass
    for name, value in changes.items():
        setattr(observation, name, value)
    return observation


def test_a_request_of_the_function_is_read(capsys) -> None:
    request, *metrics = written(capsys, classified())
    assert isinstance(request, Request)
    assert (request.id, request.model.text, request.label) == ("id-1", "hair-type 1.1.0 (float16)", "curly")
    assert (request.probability, request.items, request.cold_start) == (0.9, 0, True)
    assert request.time is not None
    assert "model" in request.stages
    assert {name for item in metrics for name in item.values} >= {"Requests", "TotalLatency", "Confidence"}


def test_a_failed_request_of_the_function_is_read(capsys) -> None:
    failed = classified(prediction=None, problem=ImageUndecodable("no image"))
    request = written(capsys, failed)[0]
    assert (request.codes, request.label) == ({"image_undecodable": 1}, None)


def test_a_batch_of_the_function_is_read(capsys) -> None:
    prediction = Prediction("curly", 0.9, SCORES, model=MODEL)
    batch = classified(route="batch", prediction=None, items=[prediction, prediction, ModelFailed("no result")])
    request = written(capsys, batch)[0]
    assert (request.items, request.codes, request.item_labels) == (3, {"model_failed": 1}, {"curly": 2})


def test_other_lines_of_the_function_are_no_classifications(capsys) -> None:
    assert written(capsys, classified(route="health", prediction=None)) == []
    for text in ("START RequestId: x", "", "REPORT RequestId: x", '{"level":"INFO","message":"other"}', "[1, 2]"):
        assert parse(text) == []


def test_metrics_of_the_function_give_the_same_arm_as_its_lines(capsys) -> None:
    Telemetry("prod", "INFO", MetricsRules(by_version=True), "on-demand").report(classified())
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    (by_lines,) = add_up(*lines).arms(None).values()
    (by_metrics,) = add_up(*lines, metrics=True).arms(None).values()
    assert by_metrics.name == "hair-type"
    for name in ("requests", "images", "faults", "cold_starts", "labels", "confidence"):
        assert getattr(by_metrics, name) == getattr(by_lines, name), name
    assert by_metrics.latency.count == by_lines.latency.count == 1
    assert by_metrics.stages["model"].count == 1


def test_lines_and_metrics_of_an_experiment_have_the_same_arm(capsys) -> None:
    Telemetry("prod", "INFO", MetricsRules(), "on-demand").report(
        classified(assignment=Assignment("size", "large", "header"))
    )
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    for metrics in (False, True):
        traffic = add_up(*lines, metrics=metrics)
        assert traffic.experiments == ["size"]
        (arm,) = traffic.arms("size").values()
        assert (arm.name, arm.requests, arm.latency.count, sum(arm.confidence)) == ("large", 1, 1, 1)


def test_a_request_that_named_its_arm_is_in_no_arm(capsys) -> None:
    Telemetry("prod", "INFO", MetricsRules(), "on-demand").report(
        classified(assignment=Assignment("size", "large", "override"))
    )
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert add_up(*lines).experiments == add_up(*lines, metrics=True).experiments == []
    assert add_up(*lines).overrides == 1


def test_metrics_of_another_namespace_are_no_arms() -> None:
    blob = {
        "_aws": {
            "Timestamp": 1_795_658_400_000,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Loupe",
                    "Dimensions": [["Environment", "Experiment", "Arm"]],
                    "Metrics": [{"Name": name, "Unit": "None"} for name in ("Requests", "TotalLatency")],
                }
            ],
        },
        "Environment": "prod", "Experiment": "large", "Arm": "control", "Requests": [1.0], "TotalLatency": [12.0],
    }  # fmt: skip
    (record,) = read(blob)
    assert isinstance(record, Metrics)
    traffic = add_up(blob, metrics=True)
    assert traffic.experiments == ["large"]
    assert traffic.arms("large")["control"].latency.count == 1
    # Another namespace, or further dimensions, are not this function's figures.
    other = {**blob, "_aws": {**blob["_aws"], "CloudWatchMetrics": [{"Namespace": "Other"}]}}
    assert read(other) == []


def test_a_comparison_of_the_shadow_function_is_read(capsys, classifier) -> None:
    image = jpeg(solid(RED))
    champion = Prediction("red", 0.9, (("red", 0.9), ("blue", 0.1)), model=ModelInfo("old", "1.0.0", "float16", 2))
    event = json.loads(event_of(Sample(image, champion, 3.25)))
    comparer = Comparer(classifier, "prod", lambda key: b"")
    comparer.run(event)
    comparer.run({**event, "image": base64.b64encode(b"no image").decode()})
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    traffic = add_up(*lines)
    assert not traffic.damage
    ((names, test),) = traffic.shadow.items()
    assert names == ("old 1.0.0 float16", f"tiny {classifier.info.version} {classifier.info.variant}")
    assert (test.compared, test.agreed, test.champion.count, test.challenger.count) == (1, 1, 1, 1)
    assert test.champion.quantile(0.5) == pytest.approx(3.25, rel=0.005)
    assert [code for _, code in traffic.shadow_failures] == ["unsupported_media_type"]


def test_a_comparison_of_a_shadow_test_is_read() -> None:
    (record,) = read(shadow(agrees=False, difference=0.25))
    assert isinstance(record, Shadow)
    assert (record.agrees, record.difference, record.challenger) == (False, 0.25, "hair-type-large 1.1.0 float16")
    failed = {**shadow(), "message": "comparison failed", "champion": "hair-type", "code": "image_undecodable"}
    (record,) = read(failed)
    assert (record.agrees, record.code) == (None, "image_undecodable")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"request_id": None}, "request_id is missing"),
        ({"request_id": 5}, "request_id is not text"),
        ({"model": None}, "model is missing"),
        ({"duration_ms": None}, "duration_ms is missing"),
        ({"duration_ms": -1}, "duration_ms is not a number in its range"),
        ({"duration_ms": "fast"}, "duration_ms is not a number in its range"),
        ({"probability": 1.5}, "probability is not a number in its range"),
        ({"probability": True}, "probability is not a number in its range"),
        ({"stages_ms": [1]}, "stages_ms is not an object"),
        ({"stages_ms": {"model": 10**400}}, "model is not a number in its range"),
        ({"items": -1}, "items is not a count"),
        ({"items": 2, "item_labels": []}, "item_labels is not an object"),
        ({"labels": "curly"}, "labels is not a list of texts"),
        ({"label": ["curly"]}, "label is not text"),
        ({"arm": 1}, "arm is not text"),
    ],
)
def test_a_line_with_another_kind_of_value_is_damaged(changes, reason) -> None:
    with pytest.raises(BadLineError, match=f"^{reason}$"):
        read(line(**changes))


@pytest.mark.parametrize(
    "text", ['{"request_id": "a"', "{'a': 1}", '{"a": NaN}', "{" * 5000, '{"a": 1' + "0" * 5000 + "}"]
)
def test_text_that_begins_as_json_and_is_none_is_damaged(text) -> None:
    with pytest.raises(BadLineError, match="not JSON"):
        parse(text)


def test_what_libraries_print_is_not_damage() -> None:
    assert parse("Traceback (most recent call last): {'a': 1}") == []


def test_long_names_and_halves_of_characters_do_not_reach_the_report() -> None:
    request = read(line(label="x" * 5000, model="\ud800é"))[0]
    assert isinstance(request, Request)
    assert len(request.label or "") == MAX_NAME
    assert request.model.name == "?é"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-26T02:00:00.123Z", 1795658400.123),
        ("2026-11-26T03:00:00+01:00", 1795658400.0),
        ("yesterday", None),
        (5, None),
    ],
)
def test_times_are_read_as_the_function_writes_them(text, seconds) -> None:
    request = read(line(timestamp=text))[0]
    assert request.time == (None if seconds is None else pytest.approx(seconds))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*in_arm(1, "a"), *shadow(), "_aws", "items", "item_codes"]), JSON))
def test_any_line_is_read_or_damaged(changes) -> None:
    """Nothing else comes out, whatever stands in the fields."""
    for base in (in_arm(1, "a"), shadow()):
        try:
            records = read({**base, **changes})
        except BadLineError:
            continue
        for record in records:
            if isinstance(record, Request):
                assert math.isfinite(record.milliseconds)


def test_server_faults_are_those_of_the_function() -> None:
    assert {"internal_error", "jobs_unavailable", "model_failed", "s3_unavailable"} == SERVER_FAULTS
