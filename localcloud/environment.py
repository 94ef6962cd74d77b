"""One execution environment: the Lambda runtime emulator with the function's handler in it, one request at a time."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.errors import CloudError
from localcloud.ports import Ports
from localcloud.processes import PROC, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

INVOKE_PATH = "/2015-03-31/functions/function/invocations"
START_SECONDS = 10.0
# What the emulator may take beyond the function's own timeout: it starts the runtime within the first invocation.
INIT_SECONDS = 30.0
OUTPUT_SECONDS = 1.0
_PORTS = Ports()
_INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
_REPORT = re.compile(r"^REPORT RequestId: .*\tDuration: ([\d.]+) ms")
_TIMED_OUT = re.compile(rb"Task timed out after [\d.]+ seconds")


@dataclass(frozen=True)
class Launch:
    """Configuration of an execution environment.

    Attributes
    ----------
    task_root
        The folder that is /var/task in the image.
    command
        The image's CMD: the handler as ``module.function``.
    variables
        All environment variables of the function's process; it inherits no other.
    log
        Where the emulator writes its own messages.
    """

    emulator: Path
    task_root: Path
    command: str
    variables: Mapping[str, str]
    timeout_seconds: float
    log: Path


@dataclass(frozen=True)
class Outcome:
    """The result of one invocation.

    Attributes
    ----------
    function_error
        Lambda's word in ``X-Amz-Function-Error``, or None.
    status
        ``timeout`` or ``error`` as a REPORT line names it, with the error's type behind; empty after a success.
    duration_ms, init_ms
        The handler's time, and what INIT took before it if this was a cold start.
    memory_mib
        The largest resident set so far of the function's process.
    output
        What the function wrote, line by line.
    tail
        The end of the invocation's log, as ``LogType=Tail`` returns it; the fleet adds it.
    """

    payload: bytes
    function_error: str | None
    status: str
    duration_ms: float
    init_ms: float | None
    memory_mib: int
    output: Sequence[str]
    tail: str = ""


class ExecutionEnvironment:
    """A started emulator. Not thread-safe: two concurrent requests end it.

    Raises
    ------
    CloudError
        From the constructor, if the emulator does not come up.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self.id = uuid.uuid4().hex
        self.started_at = self.last_used = time.monotonic()
        self._cold = True
        self._dead = self._ended = False
        self._function: int | None = None
        self._lines: list[str] = []
        self._output = threading.Condition()
        self._ports = _PORTS.take(), _PORTS.take()
        self._port, runtime_port = self._ports
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        with launch.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(launch.emulator),
                    "--runtime-interface-emulator-address",
                    f"127.0.0.1:{self._port}",
                    "--runtime-api-address",
                    f"127.0.0.1:{runtime_port}",
                    sys.executable,
                    "-m",
                    "awslambdaric",
                    launch.command,
                ],
                cwd=launch.task_root,
                env=dict(launch.variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._reader = threading.Thread(target=self._read_output, name=f"output-{self.id[:8]}", daemon=True)
        self._reader.start()
        wait_until(self._listening, START_SECONDS, interval=0.002)
        if not self.usable or not self._listening():
            self.end()
            raise CloudError("An execution environment did not start.", launch.log)

    @property
    def usable(self) -> bool:
        return not self._dead and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The emulator's; the function's own process is its child."""
        return self._process.pid

    def invoke(self, payload: bytes, request_id: str) -> Outcome:
        """Run the handler once and wait for its answer.

        After a timeout, an exit or a lost connection the environment is no longer `usable`.
        """
        headers = {"Content-Type": "application/json", "X-Amzn-RequestId": request_id}
        limit = self._launch.timeout_seconds + (INIT_SECONDS if self._cold else 5.0)
        with self._output:
            self._lines.clear()
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=limit)
        try:
            connection.request("POST", INVOKE_PATH, body=payload, headers=headers)
            response = connection.getresponse()
            http_status, body = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            http_status = http.client.BAD_GATEWAY
            body = _error(
                "Runtime.ExitError", f"RequestId: {request_id} Error: the execution environment ended ({error})"
            )
        finally:
            connection.close()
        elapsed_ms = (time.monotonic() - started) * 1000
        memory = self._peak_memory_mib()
        body, status = self._lambda_result(http_status, body, request_id)
        output, reported_ms = self._collect_output(request_id, whole=not self._dead)
        init_ms = self._init_ms() if self._cold else None
        self._cold = False
        self.last_used = time.monotonic()
        return Outcome(
            payload=body,
            function_error="Unhandled" if status else None,
            status=status,
            # The emulator's own figure, less the INIT that it counts into a first invocation.
            duration_ms=self._duration_ms(elapsed_ms if reported_ms is None else reported_ms, init_ms, status),
            init_ms=init_ms,
            memory_mib=memory,
            output=output,
        )

    def _duration_ms(self, measured: float, init_ms: float | None, status: str) -> float:
        if status == "timeout":
            return self._launch.timeout_seconds * 1000
        return max(0.01, measured - (init_ms or 0.0))

    def end(self) -> None:
        """End the emulator and the function's process in it; a second call does nothing."""
        if self._ended:
            return
        self._ended = self._dead = True
        child = self._function_pid()
        self._process.kill()
        self._process.wait()
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        _PORTS.release(*self._ports)
        self._reader.join(2.0)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _listening(self) -> bool:
        if self._process.poll() is not None:
            return True  # ended: there is nothing to wait for
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _lambda_result(self, http_status: int, body: bytes, request_id: str) -> tuple[bytes, str]:
        """The payload and status as Lambda gives them: the emulator returns 200 for timeouts and raised errors."""
        if _TIMED_OUT.fullmatch(body):
            self._dead = True
            return _error("Sandbox.Timedout", f"RequestId: {request_id} Error: {body.decode()}"), "timeout"
        if http_status == http.client.OK and b'"errorMessage"' not in body:
            return body, ""
        try:
            response: Any = json.loads(body)
        except ValueError:
            response = None
        kind = response.get("errorType", "Unhandled") if isinstance(response, dict) else "Unhandled"
        if http_status != http.client.OK:
            self._dead = True
            if not isinstance(response, dict):
                kind = "Runtime.ExitError"
                body = _error(kind, f"RequestId: {request_id} Error: Runtime exited without providing a reason")
            return body, f"error\tError Type: {kind}"
        # A raised error carries this invocation's id; a handler that returns such an object has not failed.
        raised = isinstance(response, dict) and "errorMessage" in response and response.get("requestId") == request_id
        return body, f"error\tError Type: {kind}" if raised else ""

    def _read_output(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        for raw in stream:
            with self._output:
                self._lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._output.notify_all()

    def _collect_output(self, request_id: str, *, whole: bool) -> tuple[list[str], float | None]:
        """The function's lines of this invocation, without the emulator's own, and the time that it reports."""

        def reported() -> bool:
            return any(line.startswith(f"REPORT RequestId: {request_id}") for line in self._lines)

        with self._output:
            if whole:
                self._output.wait_for(reported, OUTPUT_SECONDS)
            lines = list(self._lines)
        end = f"END RequestId: {request_id}"
        output, duration = [], None
        for line in lines:
            if match := _REPORT.match(line):
                duration = float(match.group(1))
            elif not line.startswith("START RequestId: "):
                # Output that does not end its last line has the emulator's END on it.
                output.append(line.removesuffix(end))
        return [line for line in output if line], duration

    def _init_ms(self) -> float | None:
        durations = _INIT.findall(self._launch.log.read_text(encoding="utf-8", errors="replace"))
        return float(durations[0]) if durations else None

    def _function_pid(self) -> int | None:
        # The emulator's threads fork: each lists its own children.
        try:
            for thread in (PROC / str(self.pid) / "task").iterdir():
                if children := (thread / "children").read_text(encoding="ascii").split():
                    return int(children[0])
        except OSError:
            pass
        return None

    def _peak_memory_mib(self) -> int:
        if self._function is None:
            self._function = self._function_pid()
        try:
            status = (PROC / str(self._function) / "status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return 0
        peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return -(-int(peak.group(1)) // 1024) if peak else 0


def machine_variables() -> dict[str, str]:
    """Variables of this machine that a function needs: the path of its certificates, unless it is the default one."""
    return {name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ}


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
