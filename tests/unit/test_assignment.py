"""Requests of an experiment: their key, their arm, and what response, log and metrics say of it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from events import Context, base64_of, body_of, http, rest
from fakes import FakeFetcher, Opened
from images import BLUE, RED, jpeg, noise, solid
from loupe.cache import CachedService, PredictionCache
from loupe.classifier import Classifier
from loupe.errors import UrlUnreachable
from loupe.experiment import Arm, ExperimentRules, choose
from loupe.http.app import App
from loupe.http.assignment import Assigner, _network
from loupe.models import Models
from loupe.service import Service
from loupe.settings import MetricsRules
from loupe.sources import Sources
from loupe.sources.s3 import S3Rules
from loupe.sources.url import Url
from loupe.telemetry import Telemetry
from loupe.weights import LiveWeights
from tinymodel import graph, write_model

RED_IMAGE, BLUE_IMAGE = jpeg(solid(RED)), jpeg(solid(BLUE))
ARMS = (Arm("control", "tiny", 50), Arm("treatment", "other", 50))
MODELS = {"control": "tiny", "treatment": "other"}
SECRET = "user-4711-secret"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny")
    write_model(folder / "other", graph(weight=3.5), version="2.0.0")
    return folder


@pytest.fixture(scope="module")
def classifiers(folder):
    return {name: Classifier.load(folder / name) for name in ("tiny", "other")}


@pytest.fixture
def make(folder, classifiers):
    """Returns an app with an experiment by this key."""

    def make(key="header", *, live=None, pages=None, cache=None, cors_origins=(), **changes):
        header = "x-user-id" if key == "header" else ""
        rules = ExperimentRules("hair", ARMS, key, header, **changes)

        def create(name):
            service = Service(classifiers[name])
            return service if cache is None else CachedService(service, cache)

        models = Models(folder, ["tiny", "other"], create)
        telemetry = Telemetry("test", "INFO", MetricsRules(), "on-demand")
        sources = Sources({Url: Opened(FakeFetcher(pages or {}))})
        return App(
            models.service("tiny"), sources, telemetry, s3_rules=S3Rules(), models=models, cors_origins=cors_origins,
            assigner=Assigner(rules, models, live),
        )  # fmt: skip

    return make


def call(app, body=RED_IMAGE, path="/v1/classify", context=None, **event):
    event = rest(path=path, body=body, **event)
    event["requestContext"] |= context or {}
    return app.http(event, Context())


def arm_of(answer):
    experiment, _, arm = answer["headers"]["X-Experiment"].partition("=")
    assert experiment == "hair"
    if answer["statusCode"] == 200:
        assert body_of(answer)["model"]["name"] == MODELS[arm]
    return arm


def batch(*images):
    return json.dumps({"items": [{"image": base64_of(image)} for image in images]})


def user(name):
    return {"X-User-Id": name}


def test_a_caller_keeps_its_arm_for_any_request(make) -> None:
    app = make()
    arms = {name: arm_of(call(app, headers=user(name))) for name in map(str, range(40))}
    assert set(arms.values()) == {"control", "treatment"}
    again = make()
    for name, arm in arms.items():
        assert arm == choose("hair", {"control": 50, "treatment": 50}, name.encode())
        assert arm_of(call(again, BLUE_IMAGE, headers=user(name))) == arm
        assert arm_of(call(again, batch(BLUE_IMAGE), "/v1/classify/batch", headers=user(name))) == arm


SENDERS = {
    "api-key": lambda name: {"identity": {"apiKeyId": name, "sourceIp": "192.0.2.1"}},
    "source-address": lambda name: {"identity": {"apiKeyId": "one", "sourceIp": f"192.0.2.{name}"}},
    "token-subject": lambda name: {"authorizer": {"owner": name, "sub": "same", "principalId": "same"}},
}


@pytest.mark.parametrize("key", SENDERS)
def test_each_key_of_the_gateway_is_sticky(make, key) -> None:
    app, sender = make(key), SENDERS[key]
    arms = {name: arm_of(call(app, context=sender(name))) for name in map(str, range(30))}
    assert set(arms.values()) == {"control", "treatment"}
    assert {name: arm_of(call(app, BLUE_IMAGE, context=sender(name))) for name in arms} == arms


def test_the_subject_of_a_user_pool_is_a_token_subject(make) -> None:
    app = make("token-subject")
    pool = arm_of(call(app, context={"authorizer": {"claims": {"sub": "alice"}}}))
    assert pool == arm_of(call(app, BLUE_IMAGE, context={"authorizer": {"claims": {"sub": "alice"}}}))
    assert pool == choose("hair", {"control": 50, "treatment": 50}, b"alice")


def test_events_of_payload_2_have_a_source_address(make) -> None:
    app = make("source-address")
    event = http(body=RED_IMAGE)
    event["requestContext"]["http"]["sourceIp"] = "192.0.2.7"
    expected = arm_of(call(app, context={"identity": {"sourceIp": "192.0.2.7"}}))
    assert arm_of(app.http(event, Context())) == expected


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("2001:db8:1:2::1", "2001:db8:1:2::"),
     ("::1", "::"), ("nonsense", ""), ("", ""), ("192.0.2.1, 10.0.0.1", "")],
)  # fmt: skip
def test_an_ipv6_address_counts_by_its_network(address, network) -> None:
    assert _network(address) == network


def test_an_image_keeps_its_arm_however_it_is_sent(make) -> None:
    images = [jpeg(noise(20 + number, 20)) for number in range(16)]
    pages = {f"https://a.example/{number}": image for number, image in enumerate(images)}
    app = make("image-content", pages=pages)
    arms = [arm_of(call(app, image)) for image in images]
    assert set(arms) == {"control", "treatment"}
    assert [arm_of(call(app, json.dumps({"image": base64_of(image)}))) for image in images] == arms
    assert [arm_of(call(app, json.dumps({"url": url}))) for url in pages] == arms


@pytest.mark.parametrize("key", ["header", "api-key", "source-address", "token-subject"])
def test_a_request_without_its_key_is_assigned_by_its_content(make, capsys, key) -> None:
    app = make(key)
    by_image = make("image-content")
    for image in (jpeg(noise(20 + number, 20)) for number in range(6)):
        capsys.readouterr()
        assert arm_of(call(app, image, headers={"X-User-Id": " "})) == arm_of(call(by_image, image))
        assert json.loads(capsys.readouterr().out.splitlines()[0])["arm_by"] == "image"


def test_a_batch_has_one_arm_and_without_a_key_its_body_decides(make, capsys) -> None:
    app, arms = make("image-content"), Counter()
    for number in range(12):
        body = batch(RED_IMAGE, BLUE_IMAGE, jpeg(noise(20 + number, 20)))
        arm = arm_of(call(app, body, "/v1/classify/batch"))
        assert arm_of(call(app, body, "/v1/classify/batch")) == arm
        arms[arm] += 1
    assert len(arms) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[0])["arm_by"] == "body"


def test_requests_that_name_a_model_are_not_part_of_the_experiment(make, capsys) -> None:
    app = make(override=True)
    for name in ("tiny", "other"):
        for path in (f"/v1/models/{name}/classify", f"/v1/models/{name}/classify/batch"):
            body = batch(RED_IMAGE) if "batch" in path else RED_IMAGE
            answer = call(app, body, path, headers={**user("x"), "X-Experiment-Arm": "nonsense"})
            assert (answer["statusCode"], body_of(answer)["model"]["name"]) == (200, name)
            assert "X-Experiment" not in answer["headers"]
    assert "arm" not in json.loads(capsys.readouterr().out.splitlines()[0])


def test_direct_invocations_get_the_default_model(make) -> None:
    app = make("image-content")
    images = [jpeg(noise(20 + number, 20)) for number in range(8)]
    for image in images:
        assert app.direct({"image": base64_of(image)}, Context())["model"]["name"] == "tiny"
    items = [{"image": base64_of(image)} for image in images]
    assert app.direct({"items": items}, Context())["model"]["name"] == "tiny"
    assert app.direct({"image": base64_of(RED_IMAGE), "model": "other"}, Context())["model"]["name"] == "other"


def test_a_request_names_its_arm_where_that_is_allowed(make, capsys) -> None:
    app = make(override=True)
    for name in map(str, range(6)):
        for arm in MODELS:
            capsys.readouterr()
            assert arm_of(call(app, headers={**user(name), "X-Experiment-Arm": arm})) == arm
            line, *blobs = (json.loads(line) for line in capsys.readouterr().out.splitlines())
            assert (line["arm"], line["arm_by"]) == (arm, "override")
            assert not any("Arm" in blob for blob in blobs)
    assert arm_of(call(app, headers={**user("1"), "X-Experiment-Arm": ""})) == arm_of(call(app, headers=user("1")))


@pytest.mark.parametrize("named", ["third", "Control", "control, treatment", "tiny"])
def test_an_unknown_arm_is_a_problem_that_lists_the_arms(make, named) -> None:
    answer = call(make(override=True), headers={**user("1"), "X-Experiment-Arm": named})
    assert (answer["statusCode"], body_of(answer)["code"]) == (400, "request_invalid")
    assert "control, treatment" in body_of(answer)["detail"]
    assert "X-Experiment" not in answer["headers"]


def test_the_override_header_is_ignored_where_it_is_not_allowed(make) -> None:
    app = make()
    for name in map(str, range(8)):
        expected = arm_of(call(app, headers=user(name)))
        for arm in (*MODELS, "third"):
            assert arm_of(call(app, headers={**user(name), "X-Experiment-Arm": arm})) == expected


def test_problems_after_the_choice_name_their_arm(make, capsys) -> None:
    answer = call(make(), RED_IMAGE[:200], headers=user("1"))
    assert (answer["statusCode"], body_of(answer)["code"]) == (422, "image_undecodable")
    arm = arm_of(answer)
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (line["experiment"], line["arm"], line["model"]) == ("hair", arm, MODELS[arm])


def test_an_image_that_cannot_be_read_has_no_arm(make, capsys) -> None:
    app = make("image-content", pages={"https://a.example/": UrlUnreachable("The host has no address.")})
    answer = call(app, json.dumps({"url": "https://a.example/"}))
    assert (answer["statusCode"], "X-Experiment" in answer["headers"]) == (422, False)
    assert "arm" not in json.loads(capsys.readouterr().out.splitlines()[0])


def test_log_and_metrics_name_the_arm_and_never_the_key(make, capsys) -> None:
    key = {"identity": {"apiKeyId": SECRET, "sourceIp": "192.0.2.99"}}
    arms = set()
    for number in range(12):
        for app in (make(), make("api-key")):
            capsys.readouterr()
            answer = call(app, headers=user(f"{SECRET}{number}"), context=key)
            output = capsys.readouterr().out
            line, *blobs = map(json.loads, output.splitlines())
            arm = arm_of(answer)
            assert (line["experiment"], line["arm"], line["model"]) == ("hair", arm, MODELS[arm])
            assert line["arm_by"] in ("header", "api-key")
            (blob,) = (blob for blob in blobs if "Arm" in blob)
            (names,) = (
                {metric["Name"] for metric in directive["Metrics"]}
                for directive in blob["_aws"]["CloudWatchMetrics"]
                if ["Environment", "Experiment", "Arm"] in directive["Dimensions"]
            )
            assert (blob["Environment"], blob["Experiment"], blob["Arm"]) == ("test", "hair", arm)
            assert {"Requests", "ServerFaults", "TotalLatency", "ModelLatency", "Confidence"} <= names
            assert SECRET not in output + json.dumps(answer)
            assert "192.0.2.99" not in output
            arms.add(arm)
    assert arms == set(MODELS)


def test_each_arm_has_its_own_cache_entries(make) -> None:
    app = make(override=True, cache=PredictionCache(1_000_000))

    def states(arm):
        return call(app, headers={"X-Experiment-Arm": arm})["headers"]["X-Cache"]

    assert [states("control"), states("treatment"), states("control"), states("treatment")] == [
        "miss", "miss", "hit", "hit",
    ]  # fmt: skip


class Parameter:
    def __init__(self, text):
        self.text = text

    def read(self):
        return self.text


def test_new_weights_hold_from_the_next_read_on(make) -> None:
    parameter = Parameter('{"control": 0, "treatment": 1}')
    app = make(live=LiveWeights({"control": 50, "treatment": 50}, lambda: parameter, interval=0, seconds=10))
    names = [str(number) for number in range(20)]
    before = {name: arm_of(call(make(), headers=user(name))) for name in names}
    assert arm_of(call(app, headers=user(names[0]))) == before[names[0]]
    assert {arm_of(call(app, headers=user(name))) for name in names} == {"treatment"}
    parameter.text = '{"control": 50, "treatment": 50}'
    assert {name: arm_of(call(app, headers=user(name))) for name in names} == before


def test_a_failed_read_is_logged_and_counted_once_and_requests_succeed(make, capsys) -> None:
    app = make(live=LiveWeights({"control": 50, "treatment": 50}, lambda: Parameter("nonsense"), interval=60))
    outputs = []
    for _ in range(4):
        assert call(app, headers=user("1"))["statusCode"] == 200
        outputs.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    failures = [line["weights_failure"] for output in outputs for line in output if "weights_failure" in line]
    assert failures == ["invalid"]
    counted = [blob for output in outputs for blob in output if "WeightFailures" in blob]
    (directive,) = (
        directive
        for blob in counted
        for directive in blob["_aws"]["CloudWatchMetrics"]
        if directive["Metrics"][0]["Name"] == "WeightFailures"
    )
    assert directive["Dimensions"] == [["Environment"]]


@pytest.mark.parametrize("override", [False, True])
def test_browsers_may_send_the_headers_and_read_the_arm(make, override) -> None:
    app = make(cors_origins=("https://a.example",), override=override)
    origin = {"Origin": "https://a.example"}
    allowed = app.http(rest("OPTIONS", headers=origin), Context())["headers"]["Access-Control-Allow-Headers"]
    assert "x-user-id" in allowed
    assert ("X-Experiment-Arm" in allowed) == override
    assert "X-Experiment" in call(app, headers=origin)["headers"]["Access-Control-Expose-Headers"]
