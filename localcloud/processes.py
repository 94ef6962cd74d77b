"""Processes that outlive the command that started them, and are later ended without hitting an unrelated process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PROC = Path("/proc")
# Fields of /proc/<pid>/stat behind the command name (proc(5)).
_STATE, _SESSION, _START_TICK = 0, 3, 19


@dataclass(frozen=True)
class ProcessRecord:
    """A started process, identified by pid and start time, because pids are reused.

    Attributes
    ----------
    started
        Boot id and clock ticks since boot, as the kernel gives them.
    children
        Text in the command lines of its children, which identifies them if it dies before them; empty if it
        has none.
    """

    name: str
    pid: int
    started: str
    children: str = ""

    def alive(self) -> bool:
        return start_time(self.pid) == self.started


def start_time(pid: int) -> str | None:
    """Boot id and start tick of a process; None if it does not run or is a zombie."""
    fields = _stat(pid)
    if not fields or fields[_STATE] == "Z":
        return None
    boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}:{fields[_START_TICK]}"


def start(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path, children: str = ""
) -> ProcessRecord:
    """Start a process in its own session, so that Ctrl-C at the terminal does not reach it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # The process outlives this object: a return code keeps Popen from warning about it.
    child.returncode = 0
    started = start_time(child.pid)
    if started is None:
        raise CloudError(f"{name} ended as soon as it was started.", log)
    return ProcessRecord(name, child.pid, started, children)


def stop(record: ProcessRecord, grace_seconds: float = 5.0) -> bool:
    """End a process and its session; True if it was running."""
    lived = record.alive()
    if lived:
        _signal(record.pid, signal.SIGTERM)
        if not wait_until(lambda: _reaped(record), grace_seconds):
            _signal(record.pid, signal.SIGKILL)
            wait_until(lambda: _reaped(record), grace_seconds)
    for orphan in _orphans(record):
        _signal(orphan, signal.SIGKILL)
    return lived


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.03) -> bool:
    """Poll until the condition holds; False on timeout."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def _reaped(record: ProcessRecord) -> bool:
    # Ours if this very command started it: without this it would stay a zombie.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(record.pid, os.WNOHANG)
    return not record.alive()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _orphans(record: ProcessRecord) -> list[int]:
    """Children of a dead process in its session. Its pid is not reused while the session has members."""
    leader = _stat(record.pid)
    if not record.children or (leader and leader[_START_TICK] != record.started.rpartition(":")[2]):
        return []
    children = []
    for folder in PROC.glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields and fields[_SESSION] == str(record.pid) and record.children in _command_line(folder):
            children.append(int(folder.name))
    return children


def _stat(pid: int) -> list[str]:
    try:
        stat = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The command name stands in parentheses and may hold anything: count from the last one.
    return stat.rpartition(")")[2].split()


def _command_line(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""
