"""A shadow test of the deployed stack: answers stay the champion's while challengers agree, differ, or are gone."""

from __future__ import annotations

import base64
import json
import shutil
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from deployment import Deployed, deployed_stack, own_cloud, until
from loupe.classifier import Classifier
from PIL import Image

from localcloud.state import PROJECT, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.models import Golden

MODELS = PROJECT / "models"
CHAMPION, LARGE = "hair-type", "hair-type-large"
DAMAGED = "test-shadow-damaged"
FUNCTION = "loupe-local-shadow"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A cloud of this module's own, and a clean models/ after it."""
    with own_cloud(tmp_path_factory.mktemp("cloud"), DAMAGED) as state:
        yield state


@pytest.fixture(scope="module")
def champion() -> Classifier:
    return Classifier.load(MODELS / CHAMPION)


def deploy(state: State, challenger: str) -> Deployed:
    settings: dict[str, Any] = {
        "shadow": {"challenger": challenger, "share": 1, "memory_mib": 1024},
        "bulk": {"enabled": False, "on_upload": {"enabled": False}},
        "protection": {"kms_key": "customer"},
        "api": {"rate_limit": 5000, "burst_limit": 5000},
        "auth": {"clients": {"default": {"rate": 1000, "burst": 2000}}},
    }
    return deployed_stack(state, settings)


def total(deployed: Deployed, metric: str, challenger: str) -> float:
    """Sum of a metric of the shadow test so far."""
    names = {"Environment": "local", "Champion": CHAMPION, "Challenger": challenger}
    now = time.time()
    points = deployed.client("cloudwatch").get_metric_statistics(
        Namespace="Loupe",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in names.items()],
        StartTime=now - 3600,
        EndTime=now + 60,
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def compared(deployed: Deployed, challenger: str) -> float:
    return total(deployed, "Agreement", challenger) + total(deployed, "Disagreements", challenger)


def classify_as_champion(deployed: Deployed, champion: Classifier, data: bytes) -> None:
    """Classify over HTTP, and compare the answer with the champion's own."""
    response = deployed.classify(data, "application/octet-stream")
    assert response.status == 200, response.body
    assert response.json["model"]["name"] == CHAMPION
    expected = dict(champion.classify(data).scores)
    assert response.json["scores"] == pytest.approx(expected, abs=1e-5)


def logged(deployed: Deployed) -> list[dict[str, Any]]:
    """Lines that the shadow function wrote about the larger challenger."""
    configuration = deployed.client("lambda").get_function_configuration(FunctionName=FUNCTION)
    events = deployed.client("logs").filter_log_events(logGroupName=configuration["LoggingConfig"]["LogGroup"])
    texts = [event["message"] for event in events["events"]]
    lines = [json.loads(text) for text in texts if text.startswith("{")]
    return [line for line in lines if line.get("challenger", "").startswith(f"{LARGE} ")]


def large_png() -> bytes:
    buffer = BytesIO()
    pixels = np.random.default_rng(7).integers(0, 256, (700, 700, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def damaged_copy(folder: Path) -> None:
    """Write a challenger that gives each image the other label."""
    shutil.copytree(MODELS / CHAMPION, folder)
    card = json.loads((folder / "card.json").read_text())
    card["name"] = folder.name
    card["output"]["labels"].reverse()
    card["golden"] = []
    (folder / "card.json").write_text(json.dumps(card))


def test_a_damaged_challenger_raises_the_alarm_and_changes_no_response(
    state: State, champion: Classifier, golden_cases: list[Golden]
) -> None:
    damaged_copy(MODELS / DAMAGED)
    deployed = deploy(state, DAMAGED)
    name = "loupe-local-ShadowDisagreementRate"

    def rings() -> bool:
        for case in golden_cases[:4]:
            classify_as_champion(deployed, champion, case.path.read_bytes())
        (alarm,) = deployed.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return str(alarm["StateValue"]) == "ALARM"

    until(rings, 60)
    assert total(deployed, "Agreement", DAMAGED) == 0
    assert total(deployed, "ShadowFailures", DAMAGED) == 0
    # Both models take the same pixels, so that no image leaves the function: there is no bucket for any.
    buckets = deployed.client("s3").list_buckets()["Buckets"]
    assert not [bucket for bucket in buckets if "shadow" in bucket["Name"]]


@pytest.fixture(scope="module")
def tested(state: State) -> Deployed:
    """The same cloud with the larger of the shipped models as challenger."""
    return deploy(state, LARGE)


def test_the_shipped_models_are_compared(tested: Deployed, champion: Classifier, golden_cases: list[Golden]) -> None:
    for case in golden_cases:
        classify_as_champion(tested, champion, case.path.read_bytes())
    until(lambda: compared(tested, LARGE) == len(golden_cases), 60)
    challenger = Classifier.load(MODELS / LARGE)
    images = [case.path.read_bytes() for case in golden_cases]
    agreeing = sum(champion.classify(image).label == challenger.classify(image).label for image in images)
    assert total(tested, "Agreement", LARGE) == agreeing
    assert total(tested, "ShadowSent", LARGE) == len(golden_cases)
    assert total(tested, "ShadowFailures", LARGE) == 0
    until(lambda: len(logged(tested)) >= len(golden_cases), 20)
    line = logged(tested)[0]
    assert line["message"] == "comparison"
    assert line["champion"].startswith(f"{CHAMPION} ")
    assert line["stages_ms"]["model"] > 0
    assert not [text for text in ("curly", "straight") if text in json.dumps(logged(tested))]


def test_a_large_image_goes_through_the_bucket(tested: Deployed, champion: Classifier) -> None:
    before = compared(tested, LARGE)
    classify_as_champion(tested, champion, large_png())
    until(lambda: compared(tested, LARGE) == before + 1, 60)
    s3 = tested.client("s3")
    (bucket,) = (item["Name"] for item in s3.list_buckets()["Buckets"] if "shadow" in item["Name"])
    (stored,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert stored["Key"].startswith("shadow/")
    # The local cloud encrypts no bucket: tests/infra/test_shadow.py has the template's key.


def test_items_of_a_batch_and_direct_invocations_are_sampled(tested: Deployed, golden_cases: list[Golden]) -> None:
    before = compared(tested, LARGE)
    images = [{"image": base64.b64encode(case.path.read_bytes()).decode()} for case in golden_cases[:2]]
    batch = tested.post("/v1/classify/batch", json.dumps({"items": images}).encode())
    assert [item["result"]["label"] for item in batch.json["results"]] == [item.label for item in golden_cases[:2]]
    assert tested.invoke(images[0])["label"] == golden_cases[0].label
    until(lambda: compared(tested, LARGE) == before + 3, 60)


def throttled(functions: Any) -> bool:
    """Whether the reserve of 0 is in force."""
    try:
        functions.invoke(FunctionName=FUNCTION, Payload=b"{}")
    except functions.exceptions.TooManyRequestsException:
        return True
    return False


def test_a_shadow_function_without_concurrency_fails_no_request(
    tested: Deployed, champion: Classifier, golden_cases: list[Golden]
) -> None:
    functions, before = tested.client("lambda"), compared(tested, LARGE)
    functions.put_function_concurrency(FunctionName=FUNCTION, ReservedConcurrentExecutions=0)
    try:
        until(lambda: throttled(functions), 30)
        for _ in range(3):
            classify_as_champion(tested, champion, golden_cases[0].path.read_bytes())
    finally:
        functions.delete_function_concurrency(FunctionName=FUNCTION)
    # Lambda keeps throttled events and delivers them later.
    until(lambda: compared(tested, LARGE) == before + 3, 90)


def test_a_missing_shadow_function_fails_no_request(
    tested: Deployed, champion: Classifier, golden_cases: list[Golden]
) -> None:
    """Last: the function is gone afterwards."""
    tested.client("lambda").delete_function(FunctionName=FUNCTION)
    sent = total(tested, "ShadowSent", LARGE)
    for _ in range(8):
        for case in golden_cases[:2]:
            classify_as_champion(tested, champion, case.path.read_bytes())
    until(lambda: total(tested, "ShadowDropped", LARGE) == 16, 30)
    assert total(tested, "ShadowSent", LARGE) == sent
    events = tested.client("logs").filter_log_events(logGroupName="/aws/lambda/loupe-local", filterPattern="dropped")
    reasons = {
        reason
        for event in events["events"]
        if event["message"].startswith('{"level":"WARNING"')
        for reason in json.loads(event["message"])["dropped"]
    }
    assert {"rejected", "circuit_open"} <= reasons
