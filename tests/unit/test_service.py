"""The service: what callers that know no HTTP rely on, and what a wrapper around it needs."""

from __future__ import annotations

import ast
import json
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from events import Context, base64_of
from fakes import Broken
from images import BLUE, RED, jpeg, solid
from loupe import service as service_module
from loupe.classifier import Classifier
from loupe.errors import DeadlineExceeded, ImageUndecodable, RequestInvalid, UrlUnreachable
from loupe.http.app import App
from loupe.prediction import ModelInfo, Prediction
from loupe.service import Service
from loupe.settings import MetricsRules
from loupe.sources.s3 import S3Rules
from loupe.stages import Stages
from loupe.telemetry import Telemetry
from tinymodel import graph, write_model

RED_IMAGE, BLUE_IMAGE = jpeg(solid(RED)), jpeg(solid(BLUE))


def reader(data, seconds_given=None):
    def read(*, seconds):
        if seconds_given is not None:
            seconds_given.append(seconds)
        if isinstance(data, Exception):
            raise data
        return data

    return read


def soon(seconds=20.0):
    return time.monotonic() + seconds


@pytest.fixture
def service(classifier):
    return Service(classifier)


def test_the_core_imports_no_http_and_no_source() -> None:
    """Of the modules on its import path, also those for types alone."""
    tree = ast.parse(Path(service_module.__file__).read_text("utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith("loupe.")} == {
        "loupe.batch", "loupe.card", "loupe.classifier", "loupe.errors", "loupe.image", "loupe.prediction",
        "loupe.stages",
    }  # fmt: skip


@pytest.mark.parametrize("image", [RED_IMAGE, reader(RED_IMAGE)], ids=["bytes", "reader"])
def test_classify_names_the_model(service, image) -> None:
    prediction = service.classify(image)
    assert prediction.label == "red"
    assert prediction.model == service.model == ModelInfo("tiny", "1.0.0", "fp32", 2)


def test_classify_times_the_reader(service) -> None:
    stages = Stages()
    service.classify(reader(RED_IMAGE), stages=stages)
    assert list(stages.milliseconds) == ["source", "decode", "tensor", "model"]


def test_readers_get_the_time_that_is_left(service) -> None:
    seconds_given = []
    service.classify(reader(RED_IMAGE, seconds_given))
    service.classify(reader(RED_IMAGE, seconds_given), deadline=soon(5))
    service.classify_many([reader(RED_IMAGE, seconds_given)], deadline=soon(5))
    assert seconds_given[0] is None
    assert all(4 < seconds <= 5 for seconds in seconds_given[1:])


def test_classify_does_not_begin_after_the_deadline(service, monkeypatch) -> None:
    calls = []
    with pytest.raises(DeadlineExceeded):
        service.classify(reader(RED_IMAGE, calls), deadline=soon(-1))
    with pytest.raises(DeadlineExceeded):
        service.classify(RED_IMAGE, deadline=soon(-1))
    assert calls == []


def test_a_reader_that_the_deadline_cut_off_is_deadline_exceeded(service, monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr("loupe.service.time", SimpleNamespace(monotonic=lambda: now))

    def cut_off(*, seconds):
        nonlocal now
        now += seconds
        raise UrlUnreachable("The host did not answer in time.")

    with pytest.raises(DeadlineExceeded):
        service.classify(cut_off, deadline=now + 5)


def test_problems_of_the_reader_and_of_the_image_are_raised(service) -> None:
    with pytest.raises(UrlUnreachable):
        service.classify(reader(UrlUnreachable("No.")), deadline=soon())
    with pytest.raises(ImageUndecodable):
        service.classify(RED_IMAGE[:300])


def test_classify_many_keeps_order_and_problems(service) -> None:
    problem = RequestInvalid("No source.")
    images = [RED_IMAGE, problem, reader(BLUE_IMAGE), reader(UrlUnreachable("No.")), BLUE_IMAGE[:300]]
    outcomes, unfinished_decoders = service.classify_many(images, deadline=soon())
    assert [getattr(outcome, "label", None) or outcome.code for outcome in outcomes] == [
        "red", "request_invalid", "blue", "url_unreachable", "image_undecodable",
    ]  # fmt: skip
    assert outcomes[1] is problem
    assert outcomes[0].model == service.model
    assert unfinished_decoders == 0


def test_classify_many_of_no_images_is_empty(service) -> None:
    assert service.classify_many([], deadline=soon()) == ([], 0)


def test_an_unexpected_exception_of_a_reader_is_one_internal_error(service) -> None:
    broken = partial(Broken(ZeroDivisionError()).read, None)
    outcomes, _ = service.classify_many([broken, RED_IMAGE], deadline=soon())
    assert outcomes[0].code == "internal_error"
    assert outcomes[1].label == "red"


def test_keep_gets_every_prediction_with_its_index(service) -> None:
    labels = {}

    def keep(index, prediction):
        labels[index] = prediction.label
        return prediction._replace(scores=()) if index else RequestInvalid("Not this one.")

    images = [RED_IMAGE, BLUE_IMAGE, BLUE_IMAGE[:300], reader(service.classify(RED_IMAGE))]
    outcomes, _ = service.classify_many(images, deadline=soon(), keep=keep)
    assert labels == {0: "red", 1: "blue", 3: "red"}
    assert outcomes[0].code == "request_invalid"
    assert outcomes[1].scores == outcomes[3].scores == ()
    assert outcomes[2].code == "image_undecodable"


class Variants:
    """Sends single images to the second of two services, and the items of a batch to both in turn."""

    def __init__(self, first, second):
        self._first, self._second = first, second
        self.card, self.limits, self.model = first.card, first.limits, first.model

    def classify(self, image, **options):
        return self._second.classify(image, **options)

    def classify_many(self, images, **options):
        halves = [service.classify_many(images, **options) for service in (self._first, self._second)]
        outcomes = [halves[index % 2].outcomes[index] for index in range(len(images))]
        return service_module.BatchResult(outcomes, sum(half.unfinished_decoders for half in halves))


@pytest.fixture
def variants(classifier, tmp_path, capsys):
    """Call an app of two models and return the response, the log line and the metrics blobs."""
    second = Classifier.load(
        write_model(tmp_path / "second", graph(outputs=3), version="2.0.0", variant="int8",
                    output={"kind": "logits", "labels": ["a", "b", "c"]})
    )  # fmt: skip
    telemetry = Telemetry("test", "INFO", MetricsRules(max_labels=2, by_version=True), "on-demand")
    app = App(Variants(Service(classifier), Service(second)), None, telemetry, s3_rules=S3Rules())

    def call(payload):
        capsys.readouterr()
        answer = app.direct(payload, Context())
        line, *blobs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return answer, line, blobs

    return call


def of_metric(blobs, name):
    """Values of a metric by the dimensions that it is published under."""
    values = {}
    for blob in blobs:
        for group in blob["_aws"]["CloudWatchMetrics"]:
            if name in [metric["Name"] for metric in group["Metrics"]]:
                (dimensions,) = group["Dimensions"]
                values[tuple(blob[dimension] for dimension in dimensions[1:])] = blob[name]
    return values


def test_response_log_and_metrics_name_the_model_of_the_prediction(variants) -> None:
    answer, line, blobs = variants({"image": base64_of(RED_IMAGE)})
    assert answer["model"] == {"name": "second", "version": "2.0.0", "variant": "int8"}
    assert (line["model"], line["model_version"], line["model_variant"]) == ("second", "2.0.0", "int8")
    assert of_metric(blobs, "Requests") == {("second",): [1.0], ("second", "2.0.0", "int8"): [1.0]}
    assert set(of_metric(blobs, "Confidence")) == {("second",), ("second", "2.0.0", "int8")}
    assert of_metric(blobs, "Predictions") == {}


def test_two_models_of_a_batch_can_be_compared_in_log_and_metrics(variants) -> None:
    _, line, blobs = variants({"items": [{"image": base64_of(RED_IMAGE)}] * 3})
    assert line["model"] == "tiny"
    assert line["item_models"] == {"tiny 1.0.0 fp32": 2, "second 2.0.0 int8": 1}
    confidence = of_metric(blobs, "Confidence")
    assert {dimensions: len(values) for dimensions, values in confidence.items()} == {
        ("tiny",): 2, ("tiny", "1.0.0", "fp32"): 2, ("second",): 1, ("second", "2.0.0", "int8"): 1,
    }  # fmt: skip
    assert of_metric(blobs, "Predictions") == {("tiny", "red"): [2.0]}
    assert of_metric(blobs, "Requests") == {("tiny",): [3.0], ("tiny", "1.0.0", "fp32"): [3.0]}


def test_a_problem_is_logged_under_the_model_of_the_service(variants) -> None:
    _, line, blobs = variants({"image": base64_of(RED_IMAGE[:300])})
    assert (line["model"], line["code"]) == ("tiny", "image_undecodable")
    assert of_metric(blobs, "Problems") == {("tiny", "image_undecodable"): [1.0]}


def test_the_output_of_modelkit_is_of_an_unnamed_model(service) -> None:
    assert Prediction("a", 1.0, ()).model.name == "unnamed"
