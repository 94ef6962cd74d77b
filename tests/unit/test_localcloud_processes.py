"""Processes are ended by who they are, not by their number alone."""

from __future__ import annotations

import dataclasses
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from localcloud.errors import CloudError
from localcloud.processes import ProcessRecord, start, start_time, stop, wait_until
from localcloud.state import Running, State, runtime_emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are told apart by Linux's /proc")
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessRecord]:
    record = start("sleeper", SLEEP, {}, tmp_path / "log", tmp_path)
    yield record
    stop(record)


def test_a_process_is_ended_once(sleeper: ProcessRecord) -> None:
    assert sleeper.alive()
    assert stop(sleeper)
    assert not sleeper.alive()
    assert not stop(sleeper)


def test_an_unrelated_process_with_the_same_pid_is_not_ended(sleeper: ProcessRecord) -> None:
    earlier = dataclasses.replace(sleeper, started="another boot:1", children="time.sleep")
    assert not earlier.alive()
    assert not stop(earlier)
    assert sleeper.alive()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    record = start("deaf", [sys.executable, "-c", code], {}, log, tmp_path)
    assert wait_until(lambda: "deaf" in log.read_text(), 10)
    assert stop(record, grace_seconds=0.2)
    assert start_time(record.pid) is None


def test_children_that_outlived_their_parent_are_ended(tmp_path: Path) -> None:
    code = f"import subprocess, sys, os; print(subprocess.Popen({SLEEP!r}).pid, flush=True); os._exit(1)"
    log = tmp_path / "log"
    record = start("parent", [sys.executable, "-c", code], {}, log, tmp_path, children="time.sleep(60)")
    assert wait_until(lambda: not record.alive() and log.read_text().strip() != "", 10)
    child = int(log.read_text())
    assert start_time(child)
    stop(record)
    assert wait_until(lambda: start_time(child) is None, 5)


def test_a_state_records_running_processes(tmp_path: Path, sleeper: ProcessRecord) -> None:
    state = State(tmp_path)
    assert state.running() is None
    running = Running(4577, 4578, (sleeper,))
    state.save(running)
    assert state.running() == running
    assert running.alive()
    state.forget()
    assert state.running() is None


def test_a_corrupt_state_is_reported(tmp_path: Path) -> None:
    (tmp_path / "running.json").write_text('{"port": 1}')
    with pytest.raises(CloudError, match="by hand"):
        State(tmp_path).running()


def test_a_missing_deployment_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="make up"):
        State(tmp_path).read_endpoint()


def test_a_reaped_process_has_no_start_time() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert start_time(child.pid) is None


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "riscv64")])
def test_a_machine_without_the_emulator_is_reported(monkeypatch: pytest.MonkeyPatch, system: str, machine: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(CloudError, match="Linux on x86_64 or arm64"):
        runtime_emulator()
