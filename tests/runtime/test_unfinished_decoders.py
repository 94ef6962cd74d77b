"""A decoder that outlives its batch: the response is in time, and later requests are not slowed down."""

from __future__ import annotations

import base64
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from test_fleet import Lambda, Recorder, Sts

from localcloud.fleet import Call, Fleet
from localcloud.function import Site
from localcloud.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from localcloud.environment import ExecutionEnvironment, Outcome
    from localcloud.models import Golden
    from localcloud.stage import Image

    Start = Callable[..., ExecutionEnvironment]

TIMEOUT_SECONDS = 10
# The project's handler, with a decoder that never ends for one input, and a look into its process.
HANDLER = """
import hashlib, os, sys, threading, time
sys.path.insert(0, os.environ["IMAGE"])
import handler as served
from loupe import restart
from loupe.classifier import Classifier

decode = Classifier.prepare
def prepare(self, data, stages):
    while data == b"never":  # in C and without the interpreter's lock, as decoders work
        hashlib.pbkdf2_hmac("sha256", data, data, 10**8)
    return decode(self, data, stages)
Classifier.prepare = prepare
if "KEEP" in os.environ:
    restart.after_response = lambda: False

def handler(event, context):
    if event == "process":
        return {"pid": os.getpid(), "threads": [thread.name for thread in threading.enumerate()],
                "seconds": time.process_time(), "started": started}
    return served.handler(event, context)
started = time.monotonic()
"""
NEVER = {"image": base64.b64encode(b"never").decode()}


@pytest.fixture(scope="module")
def task_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    (folder / "spinning.py").write_text(HANDLER)
    return folder


@pytest.fixture
def begin(start: Start, task_root: Path, image: Image) -> Iterator[Callable[..., ExecutionEnvironment]]:
    """Start an execution environment; it ends with the test, or a running decoder would slow the other tests."""
    environments: list[ExecutionEnvironment] = []

    def begin(**variables: str) -> ExecutionEnvironment:
        variables |= {"IMAGE": str(image.folder), "LOUPE_MODELS_DIR": str(image.folder / "models")}
        environments.append(start(task_root, TIMEOUT_SECONDS, variables, "spinning.handler"))
        return environments[-1]

    yield begin
    for environment in environments:
        environment.end()


def ask(environment: ExecutionEnvironment, event: Any, request_id: str) -> Any:
    outcome = environment.invoke(json.dumps(event).encode(), request_id)
    assert outcome.function_error is None, outcome.payload
    return json.loads(outcome.payload)


def lines(outcome: Outcome) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in outcome.output if line.startswith("{")]
    return [record for record in records if "_aws" not in record]


def test_a_decoder_that_outlives_its_batch_ends_before_the_next_request(
    begin: Callable[..., ExecutionEnvironment], golden_cases: list[Golden]
) -> None:
    environment = begin()
    good = {"image": base64.b64encode(golden_cases[0].path.read_bytes()).decode()}
    before = ask(environment, "process", "before")
    started = time.monotonic()
    outcome = environment.invoke(json.dumps({"items": [NEVER, good]}).encode(), "batch")
    elapsed = time.monotonic() - started
    assert outcome.function_error is None, outcome.payload
    assert elapsed < TIMEOUT_SECONDS
    results = json.loads(outcome.payload)["results"]
    assert results[0]["error"]["code"] == "deadline_exceeded"
    assert results[1]["result"]["label"] == golden_cases[0].label
    (line,) = lines(outcome)
    assert line["left_running"] == 1

    after = ask(environment, "process", "after")
    assert after["pid"] == before["pid"]
    assert after["started"] > before["started"]
    assert after["threads"] == before["threads"]
    # The new process is idle: its CPU time is that of ten small requests.
    later = [ask(environment, "process", f"later-{number}") for number in range(10)][-1]
    assert later["seconds"] - after["seconds"] < 0.1
    served = environment.invoke(json.dumps(good).encode(), "next")
    assert json.loads(served.payload)["label"] == golden_cases[0].label
    (line,) = lines(served)
    assert (line["cold_start"], line["initialization"]) == (False, "restart")
    assert environment.usable


def test_restart_can_be_repeated(begin: Callable[..., ExecutionEnvironment]) -> None:
    environment = begin()
    starts = []
    for number in range(2):
        result = ask(environment, {"items": [NEVER]}, f"batch-{number}")
        assert result["results"][0]["error"]["code"] == "deadline_exceeded"
        starts.append(ask(environment, "process", f"process-{number}")["started"])
    assert starts[0] < starts[1]


def test_without_a_restart_the_decoder_would_continue(begin: Callable[..., ExecutionEnvironment]) -> None:
    environment = begin(KEEP="1")
    ask(environment, {"items": [NEVER]}, "batch")
    first = ask(environment, "process", "first")
    assert [name for name in first["threads"] if name.startswith("loupe-batch")]
    # More CPU than any number of such requests would take.
    assert wait_until(lambda: ask(environment, "process", "later")["seconds"] > first["seconds"] + 1, 30, 0.1)


RESERVED = 2
# Long enough for several restarts at once on a busy machine.
FLEET_TIMEOUT_SECONDS = 16


def test_batches_with_hanging_decoders_hold_an_environment_until_the_timeout_at_most(
    emulator: Path, task_root: Path, image: Image, golden_cases: list[Golden], tmp_path: Path
) -> None:
    """As many at once as there are environments; then ordinary requests are served by the same environments at once."""

    class Reserve(Lambda):
        reserved = RESERVED

        def get_function(self, FunctionName: str, Qualifier: str) -> dict[str, Any]:  # noqa: N803
            described = super().get_function(FunctionName, Qualifier)
            described["Configuration"] |= {
                "Timeout": FLEET_TIMEOUT_SECONDS,
                "MemorySize": 512,
                "Environment": {
                    "Variables": {"IMAGE": str(image.folder), "LOUPE_MODELS_DIR": str(image.folder / "models")}
                },
            }
            return described

    images = tmp_path / "image"
    (images / "tag").mkdir(parents=True)
    (images / "tag" / "spinning.py").write_text(HANDLER)
    (images / "tag.json").write_text('{"command": "spinning.handler"}')
    site = Site("http://127.0.0.1:9", "us-east-1", tmp_path / "tmp")
    fleet = Fleet(Reserve(), Sts(), Recorder(), site, images, emulator, tmp_path / "logs")

    def invoke(event: Any) -> Any:
        arn = "arn:aws:lambda:us-east-1:000000000000:function:f:live"
        outcome = fleet.invoke(Call("f", "1", "r1", arn, json.dumps(event).encode(), str(uuid.uuid4())))
        assert outcome.function_error is None, outcome.payload
        return json.loads(outcome.payload)

    try:
        with ThreadPoolExecutor(RESERVED) as pool:
            list(pool.map(invoke, ["process"] * RESERVED))  # warm
            started = time.monotonic()
            spent = list(pool.map(invoke, [{"items": [NEVER]}] * RESERVED))
            assert time.monotonic() - started < FLEET_TIMEOUT_SECONDS
            codes = {item["error"]["code"] for answer in spent for item in answer["results"]}
            assert codes == {"deadline_exceeded"}
            good = {"image": base64.b64encode(golden_cases[0].path.read_bytes()).decode()}
            started = time.monotonic()
            answers = list(pool.map(invoke, [good] * RESERVED))
            assert {answer["label"] for answer in answers} == {golden_cases[0].label}
            assert time.monotonic() - started < FLEET_TIMEOUT_SECONDS / 2
    finally:
        fleet.stop()
