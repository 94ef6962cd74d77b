"""Life cycle of an execution environment: cold start, timeout, crash."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from localcloud import emf
from localcloud.processes import start_time, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localcloud.environment import ExecutionEnvironment

    Start = Callable[..., ExecutionEnvironment]

HANDLER = """
import os, signal
def handler(event, context):
    if "hang" in event: signal.pause()
    if "exit" in event: os._exit(3)
    if "raise" in event: raise ValueError(event["raise"])
    print("said", event.get("say"))
    return event.get("return", {"remaining": context.get_remaining_time_in_millis(), "pid": os.getpid()})
"""


@pytest.fixture(scope="session")
def task_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A handler that follows the instructions in its event."""
    folder = tmp_path_factory.mktemp("task")
    (folder / "handler.py").write_text(HANDLER)
    return folder


def test_the_first_request_is_a_cold_start_and_only_that(start: Start) -> None:
    environment = start()
    cold, warm = (environment.invoke(b'{"image": "AAAA"}', f"request-{number}") for number in range(2))
    assert cold.init_ms is not None
    # INIT is capped at 10 s on AWS; what it costs here is measured by the benchmarks, not by this test.
    assert 0 < cold.init_ms < 10_000
    assert warm.init_ms is None
    assert warm.memory_mib > 0
    started = [
        [sum(datum["Values"]) for _, datum in metrics if datum["MetricName"] == "ColdStart"]
        for metrics in (
            [metric for line in outcome.output for metric in emf.metric_data(line)] for outcome in (cold, warm)
        )
    ]
    assert started == [[1.0], []]


def test_a_bad_setting_stops_the_cold_start_with_a_clear_message(start: Start) -> None:
    environment = start(variables={"LOUPE_URL_POLICY": "sometimes"})
    outcome = environment.invoke(b"{}", "request-1")
    assert outcome.function_error == "Unhandled"
    assert "LOUPE_URL_POLICY" in json.loads(outcome.payload)["errorMessage"]
    assert not environment.usable


def test_a_timeout_is_an_error_and_ends_the_environment(start: Start, task_root: Path) -> None:
    environment = start(task_root, timeout_seconds=1)
    outcome = environment.invoke(b'{"hang": true}', "request-1")
    assert outcome.function_error == "Unhandled"
    assert outcome.status == "timeout"
    assert outcome.duration_ms == 1000
    error = json.loads(outcome.payload)
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert not environment.usable


def test_exit_is_an_error_and_closes_the_environment(start: Start, task_root: Path) -> None:
    environment = start(task_root)
    outcome = environment.invoke(b'{"exit": 1}', "request-1")
    assert outcome.function_error == "Unhandled"
    assert json.loads(outcome.payload)["errorType"] == "Runtime.ExitError"
    assert not environment.usable


def test_raised_error_is_returned_and_the_environment_continues(start: Start, task_root: Path) -> None:
    environment = start(task_root)
    outcome = environment.invoke(b'{"raise": "on purpose"}', "request-1")
    assert outcome.function_error == "Unhandled"
    assert json.loads(outcome.payload)["errorMessage"] == "on purpose"
    returned = environment.invoke(b'{"return": {"errorMessage": "only looks like one"}}', "request-2")
    assert returned.function_error is None
    assert environment.usable


def test_output_is_kept_by_request(start: Start, task_root: Path) -> None:
    environment = start(task_root)
    for word in ("one", "two"):
        outcome = environment.invoke(json.dumps({"say": word}).encode(), f"request-{word}")
        assert list(outcome.output) == [f"said {word}"]


def test_closed_environment_leaves_no_process(start: Start, task_root: Path) -> None:
    environment = start(task_root)
    pid = json.loads(environment.invoke(b"{}", "request-1").payload)["pid"]
    environment.end()
    assert wait_until(lambda: start_time(pid) is None, 5)
