"""A Lambda client that runs versions in memory, and a CodeDeploy client that records reports."""

from __future__ import annotations

import base64
import io
import json
import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GOLDEN = {"label": "curly", "probability": 0.9, "scores": {"curly": 0.9, "straight": 0.1}}


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Invoke")


class FakeLambda:
    """Versions of one function.

    Parameters
    ----------
    answer
        Takes a payload, returns the body; an exception is raised by the client.
    environments
        How many execution environments there are at most.
    together
        The first requests wait until so many are in progress, for at most 5 seconds.
    throttled
        Requests wait until so many calls were throttled, for at most 5 seconds.
    """

    def __init__(
        self,
        answer: Callable[[Mapping[str, Any]], Any] | None = None,
        *,
        environments: int = 100,
        together: int = 0,
        throttled: int = 0,
        version: str = "7",
        duration_ms: float = 12.5,
        memory: tuple[int, int] = (300, 1769),
        report: bool = True,
    ) -> None:
        self._answer = answer or (lambda _: dict(GOLDEN))
        self.version, self.weights = version, {}
        self._duration, self._memory, self._report = duration_ms, memory, report
        self._ids = [f"{number:016x}" for number in range(environments)]
        self._free = list(self._ids)
        self._together = together
        self._throttled = throttled
        self._condition = threading.Condition()
        self.calls: list[dict[str, Any]] = []
        self.errors: list[Exception] = []
        self.most_at_once = 0

    def invoke(self, **arguments: Any) -> Mapping[str, Any]:
        with self._condition:
            self.calls.append(arguments)
            if self.errors:
                raise self.errors.pop(0)
            if not self._free:
                self._throttled -= 1
                self._condition.notify_all()
                raise client_error("TooManyRequestsException", 429)
            identity = self._free.pop(0)
            self.most_at_once = max(self.most_at_once, len(self._ids) - len(self._free))
            self._condition.notify_all()
            self._condition.wait_for(lambda: self.most_at_once >= self._together and self._throttled <= 0, timeout=5)
        try:
            payload = json.loads(arguments["Payload"])
            body = self._answer(payload)
            if isinstance(body, Exception):
                return {
                    "Payload": io.BytesIO(
                        json.dumps({"errorType": "Runtime.ExitError", "errorMessage": str(body)}).encode()
                    ),
                    "FunctionError": "Unhandled",
                    "ExecutedVersion": self.version,
                }
            if payload.get("identify") and isinstance(body, dict) and "error" not in body:
                body = {**body, "environment": identity}
            return {
                "Payload": io.BytesIO(json.dumps(body).encode()),
                "LogResult": base64.b64encode(self._tail().encode()).decode(),
                "ExecutedVersion": self.version,
            }
        finally:
            with self._condition:
                self._free.append(identity)

    def get_alias(self, **_: Any) -> Mapping[str, Any]:
        routing = {"RoutingConfig": {"AdditionalVersionWeights": self.weights}} if self.weights else {}
        return {"FunctionVersion": "6", **routing}

    def _tail(self) -> str:
        used, size = self._memory
        report = (
            f"REPORT RequestId: r\tDuration: {self._duration} ms\tBilled Duration: 13 ms\tMemory Size: {size} MB\t"
            f"Max Memory Used: {used} MB\tInit Duration: 900.00 ms\n"
        )
        # The beginning of a long log is cut.
        text = 'estId: r Version: 7\n{"message": "REPORT RequestId: x\tDuration: 9 ms"}\nEND RequestId: r\n'
        return text + (report if self._report else "")


class FakeCodeDeploy:
    """Records reports; `error` is raised instead."""

    def __init__(self, error: Exception | None = None) -> None:
        self.reports: list[dict[str, Any]] = []
        self._error = error

    def put_lifecycle_event_hook_execution_status(self, **arguments: Any) -> Mapping[str, Any]:
        if self._error:
            raise self._error
        self.reports.append(arguments)
        return {}


class FakeContext:
    """A context with this remaining time in seconds."""

    aws_request_id = "request-1"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)
