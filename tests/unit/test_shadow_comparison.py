"""The shadow function: the challenger's prediction of a sample against the champion's, as log line and metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from images import BLUE, RED, jpeg, solid
from loupe.classifier import Classifier
from loupe.errors import InternalError, Problem, S3Unavailable, S3Unreachable
from loupe.prediction import ModelInfo, Prediction
from loupe.shadow.comparison import Comparer, SampleError, compare
from loupe.shadow.sample import Sample, event_of, parse_event
from loupe.stages import Stages
from loupe.tensor import to_pixels
from shadow_fakes import emf, lines
from test_bulk_entry import start
from tinymodel import graph, write_model

CHAMPION = ModelInfo("champion", "1.2.0", "float16", 2)
IMAGE = jpeg(solid(RED, (64, 48)))


def prediction(red: float) -> Prediction:
    label, probability = ("red", red) if red >= 0.5 else ("blue", 1 - red)
    return Prediction(label, probability, (("red", red), ("blue", 1 - red)), None, CHAMPION)


def event(red: float = 0.99, image: Any = IMAGE, key: str = "") -> Any:
    return json.loads(event_of(Sample(image, prediction(red), 3.25), key))


def no_objects(key: str) -> bytes:
    raise S3Unreachable("There is no such object.")


@pytest.fixture
def comparer(classifier: Classifier) -> Comparer:
    return Comparer(classifier, "test", no_objects)


@pytest.mark.parametrize(("red", "agrees"), [(0.9, 1), (0.1, 0)])
def test_a_comparison_becomes_metrics_and_a_log_line(
    comparer: Comparer, classifier: Classifier, red: float, agrees: int, capsys: pytest.CaptureFixture[str]
) -> None:
    comparer.run(event(red))
    output = capsys.readouterr().out
    challenger = classifier.classify(IMAGE)
    difference = abs(dict(challenger.scores)["red"] - red)
    metrics = emf(output)
    assert metrics.pop("ProbabilityDifference") == [pytest.approx(difference, abs=1e-4)]
    (latency,) = metrics.pop("ChallengerLatency")
    assert latency > 0
    assert metrics == {"Agreement": [agrees], "Disagreements": [1 - agrees], "ShadowFailures": [0]}
    blob = next(json.loads(line) for line in output.splitlines() if "_aws" in line)
    assert (blob["Environment"], blob["Champion"], blob["Challenger"]) == ("test", "champion", "tiny")
    assert blob["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Environment", "Champion", "Challenger"]]
    (line,) = lines(output)
    assert line["agreement"] == agrees
    assert line["difference"] == pytest.approx(difference, abs=1e-4)
    assert (line["champion"], line["challenger"]) == ("champion 1.2.0 float16", "tiny 1.0.0 fp32")
    assert line["champion_model_ms"] == 3.25
    assert {"decode", "tensor", "model"} <= line["stages_ms"].keys()
    assert "red" not in output, "no label and no content of a request is logged"


def test_pixels_give_the_prediction_of_the_image(
    comparer: Comparer, classifier: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    from loupe.image import decode

    pixels = to_pixels(decode(IMAGE, classifier.limits, classifier.card.input), classifier.card.input)
    own = dict(classifier.classify(IMAGE).scores)["red"]
    comparer.run(event(own, pixels))
    metrics = emf(capsys.readouterr().out)
    assert metrics["Agreement"] == [1]
    assert metrics["ProbabilityDifference"] == [pytest.approx(0, abs=1e-5)]


def test_a_large_image_is_read_from_the_bucket(classifier: Classifier, capsys: pytest.CaptureFixture[str]) -> None:
    keys: list[str] = []

    def read(key: str) -> bytes:
        keys.append(key)
        return jpeg(solid(BLUE, (64, 48)))

    Comparer(classifier, "test", read).run(event(0.1, key="shadow/00ff"))
    output = capsys.readouterr().out
    assert keys == ["shadow/00ff"]
    assert emf(output)["Agreement"] == [1]
    assert "shadow/00ff" not in output


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"image": "bm8gaW1hZ2U="}, "unsupported_media_type"),
        ({"image": "%%%"}, "sample_invalid"),
        ({"image": None}, "sample_invalid"),
        ({"scores": {"cat": 1.0}}, "sample_invalid"),
        ({"champion": ["../../etc", "1", "2", 2]}, "sample_invalid"),
        ({"champion": ["a", "1\n2", "2", 2]}, "sample_invalid"),
        ({"champion": []}, "sample_invalid"),
    ],
)
def test_a_sample_that_cannot_be_compared_is_a_failure(
    comparer: Comparer, changed: dict[str, Any], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    comparer.run({**event(), **changed})
    output = capsys.readouterr().out
    assert emf(output) == {"ShadowFailures": [1]}
    assert lines(output)[0]["code"] == code
    assert "etc" not in output


def test_an_object_that_is_gone_is_a_failure(comparer: Comparer, capsys: pytest.CaptureFixture[str]) -> None:
    comparer.run(event(key="shadow/00ff"))
    assert emf(capsys.readouterr().out) == {"ShadowFailures": [1]}


@pytest.mark.parametrize(
    ("problem", "logged"),
    [(S3Unreachable("Gone."), False), (InternalError("Failed."), True), (S3Unavailable("Busy."), True)],
)
def test_only_a_server_fault_is_logged_with_its_trace(
    classifier: Classifier, problem: Problem, logged: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(_: str) -> bytes:
        raise problem

    Comparer(classifier, "test", read).run(event(key="shadow/00ff"))
    (line,) = lines(capsys.readouterr().out)
    assert (line["code"], "exception" in line) == (problem.code, logged)


@pytest.mark.parametrize("payload", [None, [], {}, {"key": "other/00"}, "text"])
def test_an_event_that_is_no_sample_is_a_failure(
    comparer: Comparer, payload: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    comparer.run(payload)
    assert emf(capsys.readouterr().out) == {"ShadowFailures": [1]}


def test_pixels_of_another_size_are_a_failure(comparer: Comparer, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    comparer.run(event(image=np.zeros((32, 32, 3), np.uint8)))
    output = capsys.readouterr().out
    assert emf(output) == {"ShadowFailures": [1]}
    assert "(32, 32, 3)" in lines(output)[0]["exception"]


def test_a_challenger_that_returns_no_numbers_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = Classifier.load(write_model(tmp_path / "damaged", graph(weight=float("nan"))))
    Comparer(damaged, "test", no_objects).run(event())
    output = capsys.readouterr().out
    assert emf(output) == {"ShadowFailures": [1]}
    assert lines(output)[0]["code"] == "model_failed"


def test_multilabel_predictions_agree_if_all_labels_do() -> None:
    scores = (("cat", 0.9), ("dog", 0.6))
    both = Prediction("cat", 0.9, scores, ("cat", "dog"), CHAMPION)
    parsed = parse_event(json.loads(event_of(Sample(IMAGE, both, None))))
    assert compare(parsed, both).agrees
    assert not compare(parsed, both._replace(labels=("cat",))).agrees
    with pytest.raises(SampleError):
        compare(parsed, both._replace(scores=(("cat", 0.9),)))


def test_the_difference_is_the_largest_of_any_label() -> None:
    one = Prediction("a", 0.5, (("a", 0.5), ("b", 0.3), ("c", 0.2)), None, CHAMPION)
    parsed = parse_event(json.loads(event_of(Sample(IMAGE, one, None))))
    other = Prediction("b", 0.7, (("b", 0.7), ("a", 0.25), ("c", 0.05)), None, CHAMPION)
    comparison = compare(parsed, other)
    assert comparison.difference == pytest.approx(0.4)
    assert not comparison.agrees


def test_the_entry_point_loads_the_challenger_and_returns_nothing(tiny_directory: Path) -> None:
    variables = {
        "LOUPE_MODELS_DIR": str(tiny_directory.parent),
        "LOUPE_MODEL": tiny_directory.name,
        "LOUPE_SHADOW_BUCKET": "samples",
    }
    result = start("shadow", event(), **variables)
    assert result["answer"] is None
    assert "boto3" not in result["modules"], "the bucket's client is for large images alone"
    assert "loupe.http.app" not in result["modules"]


def test_stages_of_a_sample_have_the_models_time(comparer: Comparer, classifier: Classifier) -> None:
    stages = Stages()
    comparer._classified(parse_event(event()), stages)
    assert stages.milliseconds["model"] > 0
