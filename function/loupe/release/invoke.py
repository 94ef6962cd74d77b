"""Invocations of a version or an alias, with the duration and the memory that Lambda reports."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# One attempt for each call: what is repeated, and how long, is decided here. An invocation takes at most 28 s and the
# first start of a version half a minute before it.
CLIENT_CONFIG = Config(
    connect_timeout=5, read_timeout=120, retries={"total_max_attempts": 1, "mode": "standard"}, max_pool_connections=100
)
# Of the last 4 KB of the invocation's log (Lambda API reference, Invoke, LogType), which end with this line.
_REPORT = re.compile(
    r"^REPORT RequestId: .*?\tDuration: (?P<ms>[\d.]+) ms.*?\tMemory Size: (?P<size>\d+) MB"
    r"\tMax Memory Used: (?P<used>\d+) MB",
    re.MULTILINE,
)
# Permissions of a role may take so long to reach all of AWS (IAM user guide, 'Changes that I make are not always
# immediately visible').
PROPAGATION_SECONDS = 60.0
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
# Error code of Lambda -> what it means for a release.
_AGAIN: Mapping[str, str] = {
    "TooManyRequestsException": "it is throttled: function.reserved_concurrency or the account's limit is used up",
    "ResourceConflictException": "the version is still Pending: Lambda has not prepared it",
    "SnapStartNotReadyException": "the version's snapshot is not ready",
    "ServiceException": "Lambda reports an internal error",
    "CodeArtifactUserPendingException": "Lambda has not prepared the container image",
}


class InvocationError(Exception):
    """An invocation without a result. The message completes a sentence: what happened instead."""


class ThrottledError(InvocationError):
    """An invocation that was throttled: the load is the cause, not the version."""


class LambdaClient(Protocol):
    """The calls of boto3's client that are used."""

    def invoke(self, **arguments: Any) -> Mapping[str, Any]: ...
    def get_alias(self, **arguments: Any) -> Mapping[str, Any]: ...


class InvocationResult(NamedTuple):
    """The result of an invocation.

    Attributes
    ----------
    duration_ms, memory_mib, memory_size_mib
        As the REPORT line has them; 0 if the log had none.
    executed_version
        Number of the version that ran.
    """

    body: Any
    duration_ms: float
    memory_mib: int
    memory_size_mib: int
    executed_version: str

    @property
    def reported(self) -> bool:
        """Whether the log ended with a REPORT line."""
        return self.memory_size_mib > 0


class Target:
    """A version or an alias of a function; safe to use from several threads.

    Parameters
    ----------
    qualifier
        Version number or name of an alias.
    deadline
        Monotonic seconds until which throttled and early calls are repeated.
    """

    def __init__(
        self,
        client: LambdaClient,
        function: str,
        qualifier: str,
        deadline: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._function, self._qualifier = client, function, qualifier
        self._deadline, self._sleep = deadline, sleep
        self._started = time.monotonic()

    def invoke(self, payload: bytes) -> InvocationResult:
        """Invoke it and wait for the answer.

        Raises
        ------
        InvocationError
            If the call is rejected until the deadline, or the function fails.
        """
        pause = _PAUSE_SECONDS
        while True:
            try:
                reply = self._client.invoke(
                    FunctionName=self._function, Qualifier=self._qualifier, Payload=payload, LogType="Tail"
                )
                break
            except ClientError as error:
                reason, kind = self._retry_reason(error), _error_type(error)
            except BotoCoreError as error:
                reason, kind = f"Lambda did not answer ({type(error).__name__})", InvocationError
            if time.monotonic() + pause >= self._deadline:
                raise kind(f"no answer before the deadline: {reason}.")
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return _invocation_result(reply)

    def _retry_reason(self, error: ClientError) -> str:
        """Return why a call is retried; raise InvocationError for an error that a retry cannot fix."""
        code = error.response.get("Error", {}).get("Code", "")
        if code in _AGAIN:
            return _AGAIN[code]
        if code.startswith("AccessDenied") and time.monotonic() - self._started < PROPAGATION_SECONDS:
            return "the role's permission to invoke the function is not in force yet"
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
            return f"Lambda answers {code}"
        raise InvocationError(f"Lambda rejects the invocation: {code}.")


def _error_type(error: ClientError) -> type[InvocationError]:
    throttled = error.response.get("Error", {}).get("Code") == "TooManyRequestsException"
    return ThrottledError if throttled else InvocationError


def _invocation_result(reply: Mapping[str, Any]) -> InvocationResult:
    content = reply["Payload"].read()
    if reply.get("FunctionError"):
        raise InvocationError(f"the function failed: {_failure(content)}.")
    try:
        body = json.loads(content)
    except ValueError:
        raise InvocationError("the answer is not JSON.") from None
    tail = base64.b64decode(reply.get("LogResult", "")).decode("utf-8", "replace")
    # The last one: an earlier line may be text of the function's own.
    *_, report = (None, *_REPORT.finditer(tail))
    return InvocationResult(
        body,
        float(report["ms"]) if report else 0.0,
        int(report["used"]) if report else 0,
        int(report["size"]) if report else 0,
        reply.get("ExecutedVersion", ""),
    )


def _failure(content: bytes) -> str:
    """Return type and text of a function's error, as short as a log line should be."""
    try:
        error = json.loads(content)
        return f"{error['errorType']}: {error['errorMessage']}"[:400].rstrip(".")
    except (ValueError, KeyError, TypeError):
        return content.decode("utf-8", "replace")[:200]
