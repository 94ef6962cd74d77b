"""Operator commands: `make logs`, `make status` and `make rollback` against the deployed stack."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from deployment import until
from typer.testing import CliRunner

from localcloud import emulator
from localcloud.errors import CloudError
from localcloud.state import PROJECT
from tools.logs import __main__ as logs
from tools.rollback import __main__ as rollback
from tools.status import __main__ as status

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer
    from deployment import Deployed

    from localcloud.models import Golden


def run(app: typer.Typer, deployed: Deployed, *options: str) -> Any:
    return CliRunner().invoke(app, ["--env", "local", "--state", str(deployed.state.root), *options])


@pytest.fixture(scope="module")
def request_id(deployed: Deployed, golden_cases: list[Golden]) -> str:
    """A classified request whose lines have reached the log."""
    request_id: str = deployed.classify(golden_cases[0].path.read_bytes()).json["request_id"]
    until(lambda: "REPORT" in run(logs.app, deployed, "--request", request_id).stdout, 15)
    return request_id


def test_the_lines_of_one_request_are_shown(deployed: Deployed, golden_cases: list[Golden], request_id: str) -> None:
    result = run(logs.app, deployed, "--request", request_id)
    assert result.exit_code == 0
    line, report = result.stdout.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    function   classify  ok  [\d.]+ ms  ", line)
    assert request_id in line
    assert f"label={golden_cases[0].label}" in line
    assert f"REPORT RequestId: {request_id}" in report


def test_problems_are_found_by_their_code(deployed: Deployed, request_id: str) -> None:
    rejected = deployed.classify(b"GIF89a, not an image at all").json["request_id"]
    until(lambda: rejected in run(logs.app, deployed, "--since", "5m").stdout, 15)
    code = json.loads(
        json.loads(run(logs.app, deployed, "--request", rejected, "--json").stdout.splitlines()[0])["message"]
    )["code"]
    of_code = run(logs.app, deployed, "--code", code).stdout
    assert rejected in of_code
    assert request_id not in of_code


def test_logs_of_several_functions_are_merged_in_order(deployed: Deployed, request_id: str) -> None:
    assert deployed.call("/v1/jobs").status == 200
    expected = {"function", "jobs"}

    def entries() -> list[dict[str, Any]]:
        lines = run(logs.app, deployed, "--json", "--lines", "0", "--all").stdout.splitlines()
        return [json.loads(line) for line in lines]

    until(lambda: expected <= {entry["source"] for entry in entries()}, 15)
    times = [entry["timestamp"] for entry in entries()]
    assert times == sorted(times)
    only = run(logs.app, deployed, "--json", "--source", "jobs").stdout.splitlines()
    assert {json.loads(line)["source"] for line in only} == {"jobs"}


@pytest.fixture
def follower(deployed: Deployed) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tools.logs", "--env", "local", "--state", str(deployed.state.root), "--follow"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_following_shows_new_requests_until_ctrl_c(
    deployed: Deployed, golden_cases: list[Golden], request_id: str, follower: subprocess.Popen[str]
) -> None:
    assert follower.stdout is not None
    assert follower.stderr is not None
    timeout = threading.Timer(60, follower.kill)
    timeout.start()
    assert any(request_id in line for line in follower.stdout)
    new = deployed.classify(golden_cases[0].path.read_bytes()).json["request_id"]
    assert any(new in line for line in follower.stdout)
    timeout.cancel()
    follower.send_signal(signal.SIGINT)
    assert follower.wait(30) == 0
    rest = follower.stdout.read()
    assert request_id not in rest
    # Nothing but the note on entries before the first ones that are shown.
    assert re.fullmatch(r"(\d+ older entries are left out; .*\n)?", follower.stderr.read())


def _items(deployed: Deployed) -> dict[str, dict[str, Any]]:
    report = json.loads(run(status.app, deployed, "--json").stdout)
    assert report["environment"] == "local"
    return {item["name"]: item for item in report["items"]}


def test_the_status_shows_version_model_requests_and_queues(deployed: Deployed, request_id: str) -> None:
    items = _items(deployed)
    version = deployed.client("lambda").get_alias(FunctionName=deployed.outputs["FunctionName"], Name="live")[
        "FunctionVersion"
    ]
    assert (items["stack"]["state"], items["alias"]["state"], items["health"]["state"]) == ("ok", "ok", "ok")
    assert items["alias"]["values"]["version"] == version
    assert items["health"]["values"]["model"]["name"] == "hair-type"
    until(lambda: (_items(deployed)["images"]["values"]["images"] or 0) >= 1, 15)
    assert _items(deployed)["images"]["values"]["p99_ms"] > 0
    assert items["concurrency"]["values"]["reserve"] == 10
    assert {"alarms", "uploads", "dead letters", "jobs"} <= items.keys()
    text = run(status.app, deployed).stdout
    assert "✓ health" in text
    assert "serves hair-type" in text


def test_the_status_finds_an_alias_that_was_moved_or_left_half_shifted(deployed: Deployed) -> None:
    functions, name = deployed.client("lambda"), deployed.outputs["FunctionName"]
    with deployed.released(LOUPE_LOG_LEVEL="DEBUG"):
        moved = _items(deployed)["alias"]
        assert (moved["state"], "no pin says why" in moved["text"]) == ("wrong", True)
        assert run(status.app, deployed).exit_code == 1
        newest = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
        old = moved["values"]["stack_version"]
        functions.update_alias(
            FunctionName=name,
            Name="live",
            FunctionVersion=old,
            RoutingConfig={"AdditionalVersionWeights": {newest: 0.1}},
        )
        shifted = _items(deployed)["alias"]
        assert (shifted["state"], f"10% on version {newest}" in shifted["text"]) == ("wrong", True)
        assert "--routing-config AdditionalVersionWeights={}" in shifted["action"]
        # The command that it prints, by its API call.
        functions.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
        assert _items(deployed)["alias"]["state"] == "ok"


@pytest.fixture
def unpinned(deployed: Deployed) -> Iterator[None]:
    """The cloud is shared: whatever a test pins is lifted."""
    yield
    run(rollback.app, deployed, "--lift")


@pytest.mark.usefixtures("unpinned")
def test_a_bad_release_is_rolled_back_and_pinned(deployed: Deployed, golden_cases: list[Golden]) -> None:
    body = golden_cases[0].path.read_bytes()
    functions, name = deployed.client("lambda"), deployed.outputs["FunctionName"]
    good = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    with deployed.released(LOUPE_MODEL="no-such-model"):
        assert deployed.classify(body).status >= 500
        started = time.monotonic()
        result = run(rollback.app, deployed, "--version", good, "--reason", "nothing is classified")
        assert result.exit_code == 0, result.output
        assert time.monotonic() - started < 10
        assert f"All requests are served by version {good}." in result.stdout
        assert deployed.classify(body).json["label"] == golden_cases[0].label
        pin = _items(deployed)["pin"]
        assert pin["text"].endswith("nothing is classified")
        # Synth says why it does not go on, until the pin is lifted.
        with pytest.raises(CloudError) as rejection:
            deployed.deployer.synth(deployed.settings).wait()
        assert rejection.value.log is not None
        log = rejection.value.log.read_text()
        assert f"environments.local is pinned to version {good}" in log
        assert "make rollback ENV=local LIFT=1" in log
        lifted = run(rollback.app, deployed, "--lift")
        assert (lifted.exit_code, "The pin of local is lifted" in lifted.stdout) == (0, True)
        assert "pin" not in _items(deployed)


@pytest.mark.usefixtures("unpinned")
def test_a_version_that_cannot_start_has_no_image_or_does_not_exist_is_rejected(deployed: Deployed) -> None:
    functions, name = deployed.client("lambda"), deployed.outputs["FunctionName"]
    good = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    with deployed.released(LOUPE_MODEL="no-such-model"):
        bad = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    unable = run(rollback.app, deployed, "--version", bad)
    assert (unable.exit_code, f"Version {bad} does not answer GET /v1/health" in unable.stderr) == (2, True)
    uri = functions.get_function(FunctionName=name, Qualifier=good)["Code"]["ImageUri"]
    repository, _, tag = uri.rpartition("/")[2].partition(":")
    deployed.client("ecr").batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
    try:
        gone = run(rollback.app, deployed, "--version", good)
    finally:
        emulator.push_images(deployed.account, {repository: tag})
    assert (gone.exit_code, "is gone from ECR" in gone.stderr) == (2, True)
    missing = run(rollback.app, deployed, "--version", "4711")
    assert (missing.exit_code, "has no version 4711" in missing.stderr) == (2, True)
    assert functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == good
    assert "pin" not in _items(deployed)
