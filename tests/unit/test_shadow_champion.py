"""The classifier function's part of a shadow test: same answers, a bounded sample, failures that cost nothing."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from images import BLUE, RED, jpeg, noise, png, solid
from loupe.cache import CachedService, PredictionCache
from loupe.classifier import Classifier
from loupe.errors import UnsupportedMediaType
from loupe.prediction import Prediction
from loupe.service import Service
from loupe.shadow import breaker, collector, sampling, sender
from loupe.shadow.champion import Champion
from loupe.shadow.settings import ShadowSettings
from loupe.stages import Stages
from loupe.variables import SettingsError
from shadow_fakes import FakeDestination, emf, lines

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:loupe-test-shadow:live"
VARIABLES = {
    "LOUPE_SHADOW_FUNCTION_ARN": ARN,
    "LOUPE_SHADOW_CHALLENGER": "challenger",
    "LOUPE_SHADOW_SHARE": "1.0",
    "LOUPE_SHADOW_BUCKET": "samples",
}
IMAGE = jpeg(solid(RED, (64, 48)))


class Invocation:
    """Lambda's context; 10 s are left."""

    aws_request_id = "request-1"

    def __init__(self, milliseconds: int = 10_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


class Deployed:
    """A service under a shadow test, and what it sends."""

    def __init__(self, classifier: Classifier, destination: FakeDestination, **variables: str) -> None:
        self.destination = destination
        settings = ShadowSettings.from_environment({**VARIABLES, **variables})
        self.champion = Champion(settings, "test", "tiny", lambda: destination)
        self.service = Service(self.champion.sampled(classifier))

    def during(self, call: Callable[[], Any], context: Invocation | None = None) -> Any:
        """Run a call as an invocation does; without a runtime client the samples are sent at its end."""
        return self.champion.handle(lambda _event, _context: call(), {}, context or Invocation())


@pytest.fixture
def destination() -> FakeDestination:
    return FakeDestination()


@pytest.fixture
def deployed(classifier: Classifier, destination: FakeDestination) -> Deployed:
    return Deployed(classifier, destination)


def test_the_response_is_the_champions_and_a_sample_has_it(
    deployed: Deployed, classifier: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = deployed.during(lambda: deployed.service.classify(IMAGE))
    assert prediction == classifier.classify(IMAGE)
    (event,) = deployed.destination.events
    assert base64.b64decode(event["image"]) == IMAGE
    assert event["champion"] == list(classifier.info)
    assert event["scores"] == pytest.approx(dict(prediction.scores), abs=1e-6)
    assert event["labels"] == [prediction.label]
    assert event["model_ms"] > 0
    output = capsys.readouterr().out
    assert emf(output) == {"ShadowSent": [1], "ShadowDropped": [0]}
    assert lines(output) == []


def test_a_client_sees_nothing_of_the_test(deployed: Deployed, classifier: Classifier) -> None:
    stages, plain = Stages(), Stages()
    deployed.during(lambda: deployed.service.classify(IMAGE, stages=stages))
    classifier.classify(IMAGE, plain)
    assert list(stages.milliseconds) == list(plain.milliseconds), "Server-Timing lists the stages"


def test_without_a_bucket_the_sample_is_the_pixels_of_the_models_input(
    classifier: Classifier, destination: FakeDestination
) -> None:
    deployed = Deployed(classifier, destination, LOUPE_SHADOW_BUCKET="")
    data = jpeg(noise(80, 60))
    prediction = deployed.during(lambda: deployed.service.classify(data))
    assert prediction == classifier.classify(data)
    (event,) = destination.events
    assert "image" not in event
    pixels = np.frombuffer(base64.b64decode(event["pixels"]), np.uint8).reshape(event["shape"])
    assert pixels.shape == (20, 20, 3)


def test_an_image_above_an_events_size_goes_through_the_bucket(deployed: Deployed) -> None:
    data = png(noise(700, 700))
    assert len(data) > 1_000_000
    deployed.during(lambda: deployed.service.classify(data))
    (event,), objects = deployed.destination.events, deployed.destination.objects
    assert list(objects.values()) == [data]
    assert event["key"] == next(iter(objects))
    assert event["key"].startswith("shadow/")
    assert "image" not in event


def test_the_share_holds_and_depends_on_the_content_alone() -> None:
    images = [index.to_bytes(4) * 100 for index in range(20_000)]
    sampled = [sampling.is_sampled(image, 0.05) for image in images]
    assert sum(sampled) / len(images) == pytest.approx(0.05, abs=0.006)
    assert sampled == [sampling.is_sampled(image, 0.05) for image in images]
    assert all(sampling.is_sampled(image, 1.0) for image in images)
    wider = [sampling.is_sampled(image, 0.2) for image in images]
    assert all(after for before, after in zip(sampled, wider, strict=True) if before)


def test_images_outside_the_sample_are_not_sent(classifier: Classifier, destination: FakeDestination) -> None:
    deployed = Deployed(classifier, destination, LOUPE_SHADOW_SHARE="0.5")
    images = [jpeg(solid((seed * 6, 80, 60), (40, 30))) for seed in range(40)]
    for image in images:
        deployed.during(lambda image=image: deployed.service.classify(image))
    sent = {base64.b64decode(event["image"]) for event in destination.events}
    assert sent == {image for image in images if sampling.is_sampled(image, 0.5)}
    assert 5 < len(sent) < 35


def test_a_batch_samples_its_items_up_to_a_bound(
    deployed: Deployed, classifier: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [jpeg(solid((seed * 6, 80, 60), (40, 30))) for seed in range(collector.MAX_SAMPLES + 3)]
    result = deployed.during(lambda: deployed.service.classify_many(images, deadline=time.monotonic() + 30))
    expected = [classifier.classify(image) for image in images]
    for outcome, single in zip(result.outcomes, expected, strict=True):
        assert isinstance(outcome, Prediction)
        assert dict(outcome.scores) == pytest.approx(dict(single.scores), abs=1e-5)
    events = deployed.destination.events
    assert len(events) == collector.MAX_SAMPLES
    for event in events:
        image = base64.b64decode(event["image"])
        assert event["scores"] == pytest.approx(dict(expected[images.index(image)].scores), abs=1e-5)
        assert event["model_ms"] is None
    output = capsys.readouterr().out
    assert emf(output) == {"ShadowSent": [collector.MAX_SAMPLES], "ShadowDropped": [3]}
    assert lines(output)[0]["dropped"] == {"limit": 3}


def test_images_of_an_invocation_have_a_bound_in_bytes(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MAX_BYTES", 3 * len(IMAGE) // 2)
    deployed.during(lambda: None)  # the bound holds from the next invocation
    deployed.champion._collector._clear()
    deployed.during(lambda: [deployed.service.classify(IMAGE), deployed.service.classify(jpeg(solid(BLUE, (64, 48))))])
    assert len(deployed.destination.events) == 1


def test_images_that_a_batch_did_not_run_are_forgotten(deployed: Deployed, classifier: Classifier) -> None:
    sampled = deployed.champion.sampled(classifier)
    deployed.during(lambda: sampled.prepare(IMAGE, Stages()))
    assert deployed.destination.events == []
    assert deployed.champion._collector._held == {}


def test_what_is_no_image_is_not_sampled(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    def classify() -> None:
        with pytest.raises(UnsupportedMediaType):
            deployed.service.classify(b"no image")

    deployed.during(classify)
    assert deployed.destination.calls == 0
    assert capsys.readouterr().out == ""


def test_cached_predictions_are_not_sampled(deployed: Deployed) -> None:
    cached = CachedService(deployed.service, PredictionCache(1_000_000))
    for expected in ("miss", "hit", "hit"):
        assert deployed.during(lambda: cached.classify(IMAGE)).cache == expected
    assert len(deployed.destination.events) == 1


@pytest.mark.parametrize("failure", ["throttled", "unreachable", "rejected", RuntimeError("bug")])
def test_a_failure_changes_no_response_and_is_counted(
    classifier: Classifier, failure: str | Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed(classifier, FakeDestination(failure))
    assert deployed.during(lambda: deployed.service.classify(IMAGE)) == classifier.classify(IMAGE)
    output = capsys.readouterr().out
    assert emf(output) == {"ShadowSent": [0], "ShadowDropped": [1]}
    reason = failure if isinstance(failure, str) else "RuntimeError"
    assert lines(output)[0]["dropped"] == {reason: 1}
    assert "bug" not in output


def test_after_failures_in_a_row_nothing_is_sent_for_a_while(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    deployed.champion._sender._breaker = breaker.CircuitBreaker(lambda: now)
    destination = deployed.destination
    destination.fail = "throttled"
    for _ in range(breaker.FAILURES + 5):
        deployed.during(lambda: deployed.service.classify(IMAGE))
    assert destination.calls == breaker.FAILURES
    assert lines(capsys.readouterr().out)[-1]["dropped"] == {"circuit_open": 1}
    now += breaker.OPEN_SECONDS + 1
    deployed.during(lambda: deployed.service.classify(IMAGE))
    deployed.during(lambda: deployed.service.classify(IMAGE))
    assert destination.calls == breaker.FAILURES + 1, "one attempt after the pause"
    now += breaker.OPEN_SECONDS + 1
    destination.fail = ""
    for _ in range(3):
        deployed.during(lambda: deployed.service.classify(IMAGE))
    assert len(destination.events) == 3, "closed by a success"


def test_nothing_is_sent_close_to_the_functions_timeout(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    late = Invocation(int(sender.NEEDED_SECONDS * 1000) - 1)
    deployed.during(lambda: deployed.service.classify(IMAGE), late)
    assert deployed.destination.calls == 0
    assert lines(capsys.readouterr().out)[0]["dropped"] == {"timeout": 1}


def test_a_defect_of_the_sender_does_not_end_the_process(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runtime client calls it: what it raised would be a crash after the response."""

    def fail(*_: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(sender, "write_metrics", fail)
    assert deployed.during(lambda: deployed.service.classify(IMAGE)).label
    (line,) = lines(capsys.readouterr().out)
    assert (line["level"], "RuntimeError" in line["exception"]) == ("ERROR", True)


def test_samples_are_sent_between_the_response_and_the_next_event(
    classifier: Classifier, destination: FakeDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LambdaRuntimeClient:
        def wait_next_invocation(self) -> list[Any]:
            return list(destination.events)

    module = ModuleType("awslambdaric.lambda_runtime_client")
    module.LambdaRuntimeClient = LambdaRuntimeClient  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    deployed = Deployed(classifier, destination)
    assert deployed.champion.after_response
    deployed.during(lambda: deployed.service.classify(IMAGE))
    assert destination.events == []
    assert len(LambdaRuntimeClient().wait_next_invocation()) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LOUPE_SHADOW_FUNCTION_ARN", "loupe-shadow"),
        ("LOUPE_SHADOW_CHALLENGER", "../other"),
        ("LOUPE_SHADOW_SHARE", "0"),
        ("LOUPE_SHADOW_SHARE", "2"),
        ("LOUPE_SHADOW_BUCKET", "no bucket"),
    ],
)
def test_a_bad_variable_stops_the_start(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        ShadowSettings.from_environment({**VARIABLES, variable: value})


@pytest.mark.parametrize(
    ("arn", "endpoint", "bucket"),
    [
        (ARN, "https://lambda.eu-west-1.amazonaws.com", "https://samples.s3.eu-west-1.amazonaws.com"),
        (
            ARN.replace("arn:aws:", "arn:aws-cn:").replace("eu-west-1", "cn-north-1"),
            "https://lambda.cn-north-1.amazonaws.com.cn",
            "https://samples.s3.cn-north-1.amazonaws.com.cn",
        ),
    ],
)
def test_endpoints_are_those_of_region_and_partition(arn: str, endpoint: str, bucket: str) -> None:
    settings = ShadowSettings.from_environment({**VARIABLES, "LOUPE_SHADOW_FUNCTION_ARN": arn})
    assert (settings.lambda_endpoint, settings.s3_endpoint) == (endpoint, bucket)
    local = ShadowSettings.from_environment({**VARIABLES, "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    assert local.lambda_endpoint == "http://127.0.0.1:4566"
    assert local.s3_endpoint == "http://127.0.0.1:4566/samples"


def test_the_handler_imports_nothing_of_it_unless_it_is_on(tiny_directory: Path) -> None:
    from test_bulk_entry import start

    variables = {"LOUPE_MODELS_DIR": str(tiny_directory.parent), "LOUPE_MODEL": tiny_directory.name}
    loaded = [
        {name for name in start("handler", {}, **variables, **shadow)["modules"] if "shadow" in name or name == "ssl"}
        for shadow in ({}, VARIABLES)
    ]
    assert loaded[0] == set()
    assert "loupe.shadow.champion" in loaded[1]
    # What only sending needs is imported after the first response that has a sample.
    assert not {"loupe.shadow.destination", "loupe.shadow.signing", "ssl"} & loaded[1]


def test_samples_that_ran_out_of_time_do_not_open_the_circuit(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, slow, invoke = 100.0, [sender.SEND_SECONDS], deployed.destination.invoke
    monkeypatch.setattr("loupe.sources.connection.time", SimpleNamespace(monotonic=lambda: now))

    def late(payload: bytes, deadline: Any) -> None:
        nonlocal now
        invoke(payload, deadline)
        now += slow.pop() if slow else 0

    monkeypatch.setattr(deployed.destination, "invoke", late)
    images = [jpeg(solid(color, (64, 48))) for color in (RED, BLUE, (0, 90, 0), (90, 0, 90))]
    deployed.during(lambda: deployed.service.classify_many(images, deadline=time.monotonic() + 5))
    assert lines(capsys.readouterr().out)[-1]["dropped"] == {"timeout": 3}
    deployed.during(lambda: deployed.service.classify(IMAGE))
    assert len(deployed.destination.events) == 2
