"""Programs that run to completion, with their output in a file."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from localcloud.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Command:
    """A program that has been started; `wait` for it, or `kill` it with all that it started.

    Parameters
    ----------
    failure
        Error message if the command fails.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Path, failure: str
    ) -> None:
        self._log, self._failure = log, failure
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            try:
                self._process = subprocess.Popen(
                    arguments,
                    env=dict(environment),
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise CloudError(f"{failure} {arguments[0]} could not be started ({error.strerror}).") from error

    def wait(self) -> None:
        """Raises CloudError, with the cause if the output names one, unless it ends with 0."""
        code = self._process.wait()
        if code != 0:
            raise CloudError(f"{self._failure} {_cause(self._log)}".rstrip(), self._log)

    def kill(self) -> None:
        """May be called at any time."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _cause(log: Path) -> str:
    """Return the most informative part of the output.

    That is what the CDK app printed before it ended, the first line that the CDK marks as the failure, or the first
    error.
    """
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    if sentences := _of_the_app(lines):
        return sentences
    for mark in ("CREATE_FAILED", "UPDATE_FAILED", "❌", "SettingsError", "ValidationError", "Error"):
        for line in lines:
            if mark in line:
                return line.removeprefix("❌").strip()[:400]
    return lines[-1][:400] if lines else ""


def _of_the_app(lines: Sequence[str]) -> str:
    """Return the sentences that `infra.app` prints for settings and pins that cannot be deployed, or nothing."""
    end = next((number for number, line in enumerate(lines) if "Subprocess exited with error" in line), None)
    if end is None:
        return ""
    block: list[str] = []
    for line in reversed(lines[:end]):
        if line:
            block.insert(0, line)
        elif block:
            break
    if any(line.startswith("Traceback ") for line in block):
        return ""
    return " ".join(line for line in block if not line.endswith("cannot be deployed:"))[:600]
