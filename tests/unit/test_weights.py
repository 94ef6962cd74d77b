"""Weights from a parameter: when they are read, and what a slow, missing or invalid parameter does."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError
from botocore.stub import Stubber
from images import RED, jpeg, solid
from loupe import weights_parameter
from loupe.weights import LiveWeights, WeightsUnavailable, open_parameter

ROOT = Path(__file__).resolve().parents[2]
START = {"a": 90, "b": 10}
NEW = '{"a": 50, "b": 50}'


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Source:
    """A parameter: gives its text, raises it, or waits for an event before it does."""

    def __init__(self, *texts):
        self.texts, self.reads, self.connected = list(texts), 0, 0
        self.gate = threading.Event()
        self.gate.set()

    def connect(self):
        self.connected += 1
        return self

    def read(self):
        self.reads += 1
        assert self.gate.wait(10)
        text = self.texts[min(self.reads, len(self.texts)) - 1]
        if isinstance(text, Exception):
            raise text
        return text


@pytest.fixture
def clock():
    return Clock()


def live(source, clock, seconds=5.0):
    return LiveWeights(START, source.connect, interval=60, seconds=seconds, clock=clock)


def test_the_first_request_does_not_read_and_the_second_does(clock) -> None:
    source = Source(NEW)
    weights = live(source, clock)
    assert (weights.refresh(), weights.weights, source.connected) == ("", START, 0)
    assert (weights.refresh(), weights.weights, source.reads) == ("", {"a": 50, "b": 50}, 1)


def test_reads_are_an_interval_apart_and_use_one_client(clock) -> None:
    source = Source(NEW)
    weights = live(source, clock)
    read_at = []
    for _ in range(700):
        before = source.reads
        weights.refresh()
        if source.reads > before:
            read_at.append(clock.now)
        clock.now += 1
    gaps = [after - before for before, after in pairwise(read_at)]
    assert 9 <= len(read_at) <= 12
    assert all(60 <= gap <= 73 for gap in gaps)
    assert len(set(gaps)) > 1, "environments that started together would read together"
    assert source.connected == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (WeightsUnavailable("throttled"), "throttled"),
        (WeightsUnavailable("missing"), "missing"),
        ("nonsense", "invalid"),
        ('{"a": 50}', "invalid"),
        ('{"a": 0, "b": 0}', "invalid"),
        (NEW + " " * 5000, "invalid"),
        (RuntimeError("secret"), "RuntimeError"),
    ],
)
def test_a_failed_read_keeps_the_last_good_weights_and_is_reported_once(clock, text, reason) -> None:
    source = Source(NEW, text, '{"a": 1, "b": 2}')
    weights = live(source, clock)
    weights.refresh()
    weights.refresh()
    clock.now += 80
    assert weights.refresh() == reason
    assert [weights.refresh() for _ in range(5)] == [""] * 5
    assert (weights.weights, source.reads) == ({"a": 50, "b": 50}, 2)
    clock.now += 80
    assert (weights.refresh(), weights.weights) == ("", {"a": 1, "b": 2})


def test_a_client_that_cannot_be_created_is_tried_again_after_the_interval(clock) -> None:
    source, failures = Source(NEW), [WeightsUnavailable("unreachable")]

    def connect():
        if failures:
            raise failures.pop()
        return source.connect()

    weights = LiveWeights(START, connect, interval=60, clock=clock)
    weights.refresh()
    assert [weights.refresh(), weights.refresh()] == ["unreachable", ""]
    clock.now += 80
    assert (weights.refresh(), weights.weights) == ("", {"a": 50, "b": 50})


def test_a_slow_read_is_waited_for_a_bounded_time_and_used_when_it_ends(clock) -> None:
    source = Source(NEW)
    source.gate.clear()
    weights = live(source, clock, seconds=0.1)
    weights.refresh()
    started = time.monotonic()
    assert weights.refresh() == "timeout"
    assert 0.05 <= time.monotonic() - started < 2
    assert weights.refresh() == ""
    clock.now += 80
    # A second read is not started beside the first.
    assert (weights.refresh(), source.reads) == ("timeout", 1)
    reading = weights._reading
    source.gate.set()
    reading.wait(5)
    assert (weights.refresh(), weights.weights) == ("", {"a": 50, "b": 50})
    clock.now += 80
    assert (weights.refresh(), source.reads) == ("", 2)


def client(region="eu-west-1"):
    return boto3.client("ssm", region_name=region, aws_access_key_id="a", aws_secret_access_key="b")


def read(**response):
    ssm = client()
    with Stubber(ssm) as stub:
        if "code" in response:
            stub.add_client_error("get_parameter", response["code"], http_status_code=response.get("status", 400))
        else:
            stub.add_response("get_parameter", {"Parameter": {"Value": NEW}}, {"Name": "/p"})
        return weights_parameter.Parameter("/p", ssm).read()


def test_a_parameter_is_read_by_its_name() -> None:
    assert read() == NEW


@pytest.mark.parametrize(
    ("code", "reason"),
    [("ParameterNotFound", "missing"), ("AccessDeniedException", "denied"), ("ThrottlingException", "throttled"),
     ("TooManyRequestsException", "throttled"), ("InternalServerError", "rejected"), ("InvalidKeyId", "rejected")],
)  # fmt: skip
def test_errors_of_parameter_store_have_a_reason(code, reason) -> None:
    with pytest.raises(WeightsUnavailable, match=reason) as failure:
        read(code=code)
    assert isinstance(failure.value.__cause__, ClientError)


@pytest.mark.parametrize("error", [EndpointConnectionError(endpoint_url="x"), NoCredentialsError()])
def test_a_store_that_does_not_respond_is_unreachable(error) -> None:
    class Store:
        def get_parameter(self, **_):
            raise error

    with pytest.raises(WeightsUnavailable, match="unreachable"):
        weights_parameter.Parameter("/p", Store()).read()


def test_a_client_without_a_region_is_unreachable(monkeypatch) -> None:
    def fail(*_, **__):
        raise NoRegionError

    monkeypatch.setattr(weights_parameter.boto3, "client", fail)
    with pytest.raises(WeightsUnavailable, match="unreachable"):
        open_parameter("/p")()


def test_the_client_ends_within_the_time_that_a_request_waits() -> None:
    config = weights_parameter._CONFIG
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (0.5, 0.5, 2)


@pytest.mark.parametrize(("parameter", "imported"), [("", []), ("/loupe-dev/weights", ["loupe.weights"])])
def test_init_and_the_first_response_import_no_aws_sdk(tiny_directory, tmp_path, parameter, imported) -> None:
    code = (
        "import json, sys, types; sys.path.insert(0, sys.argv[1]); import handler\n"
        "context = types.SimpleNamespace(aws_request_id='r', get_remaining_time_in_millis=lambda: 9000)\n"
        "event = {'httpMethod': 'POST', 'path': '/v1/classify', 'body': sys.argv[2], 'isBase64Encoded': True,\n"
        "         'requestContext': {'identity': {'sourceIp': '192.0.2.1'}}}\n"
        "answer = handler.handler(event, context)\n"
        "assert answer['headers']['X-Experiment'] in ('hair=a', 'hair=b'), answer\n"
        "names = ('boto3', 'botocore', 'loupe.weights', 'loupe.weights_parameter')\n"
        "print(json.dumps([name for name in names if name in sys.modules]))"
    )
    shutil.copytree(tiny_directory, tmp_path / "tiny")
    shutil.copytree(tiny_directory, tmp_path / "other")
    card = json.loads((tmp_path / "other" / "card.json").read_text())
    (tmp_path / "other" / "card.json").write_text(json.dumps({**card, "name": "other"}))
    (tmp_path / "tiny" / "card.json").write_text(json.dumps({**card, "name": "tiny"}))
    variables = {"LOUPE_MODELS_DIR": str(tmp_path), "LOUPE_MODEL": "tiny", "LOUPE_MODELS": "tiny,other",
                 "LOUPE_EXPERIMENT": "hair", "LOUPE_EXPERIMENT_ARMS": "a=tiny:1,b=other:1",
                 "LOUPE_EXPERIMENT_KEY": "source-address", "LOUPE_EXPERIMENT_PARAMETER": parameter}  # fmt: skip
    image = base64.b64encode(jpeg(solid(RED))).decode()
    command = [sys.executable, "-c", code, str(ROOT / "function"), image]
    output = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(output.splitlines()[-1]) == imported
