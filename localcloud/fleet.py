"""The function fleet: execution environments, started on demand and ended when they are idle, expired or broken."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud import report
from localcloud.environment import ExecutionEnvironment, Launch, Outcome
from localcloud.function import FunctionVersion, Site, process_variables
from localcloud.report import Subject
from localcloud.stage import staged_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from localcloud.publisher import Publisher

# Concurrency limit of a function without reserved concurrency: one machine is not an AWS region.
UNRESERVED_CONCURRENCY = 10
HOUSEKEEPING_SECONDS = 1.0
# A role's credentials expire after an hour; an environment ends before that.
CREDENTIAL_SECONDS = 3600
LIFETIME_SECONDS = 3000.0

log = logging.getLogger(__name__)


class ThrottlingError(Exception):
    """Every environment that the function may have is busy.

    Attributes
    ----------
    reason
        Lambda's name of the limit that was reached.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("Rate Exceeded.")
        self.reason = reason


@dataclass
class Member:
    """An execution environment of the fleet, with its function version, log stream and folder."""

    environment: ExecutionEnvironment
    function: FunctionVersion
    stream: str
    folder: Path


@dataclass
class Pool:
    """The environments of one function: all its versions share its concurrency."""

    reserved: int | None = None
    busy: int = 0
    last_error: str | None = None
    idle: list[Member] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """One invocation request. `arn` contains the alias, if the caller named one."""

    function: str
    qualifier: str
    revision: str
    arn: str
    payload: bytes
    request_id: str


class Fleet:
    """Runs functions as Lambda does, in processes of this machine.

    Parameters
    ----------
    lambda_client, sts
        boto3 clients of the emulated AWS: what is deployed, and credentials of the functions' roles.
    images
        The folder of staged images.
    idle_seconds
        How long an environment may wait for its next request.
    """

    def __init__(
        self,
        lambda_client: Any,
        sts: Any,
        publisher: Publisher,
        site: Site,
        images: Path,
        emulator: Path,
        logs: Path,
        idle_seconds: float = 300.0,
    ) -> None:
        self._lambda, self._sts, self._publisher = lambda_client, sts, publisher
        self._site, self._images, self._emulator, self._logs = site, images, emulator, logs
        self._idle_seconds = idle_seconds
        self._pools: dict[str, Pool] = {}
        self._functions: dict[tuple[str, str, str], FunctionVersion] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._housekeeper = threading.Thread(target=self._housekeep, name="housekeeping", daemon=True)
        self._housekeeper.start()

    def invoke(self, call: Call) -> Outcome:
        """Run one invocation in its own execution environment.

        Raises
        ------
        ThrottlingError
            If the function's concurrency is used up.
        CloudError
            If its image is not staged or an environment does not start.
        """
        function = self._function(call)
        subject = Subject(function.name, function.version, _resource(call), function.memory_mib, function.log_group)
        pool, concurrent = self._reserve(function, subject)
        member: Member | None = None
        try:
            member = self._idle_member(pool, function) or self._start(function)
            outcome = member.environment.invoke(call.payload, call.request_id)
            if outcome.function_error:
                pool.last_error = _error_summary(outcome.payload)
            report.invocation(self._publisher, subject, member.stream, call.request_id, outcome, concurrent)
            return replace(outcome, tail=report.tail(subject, call.request_id, outcome))
        finally:
            self._release(pool, member)

    def status(self) -> dict[str, Any]:
        """Execution environments by function, for display and tests."""
        with self._lock:
            return {
                name: {
                    "busy": pool.busy,
                    "idle": len(pool.idle),
                    "limit": UNRESERVED_CONCURRENCY if pool.reserved is None else pool.reserved,
                    "last_error": pool.last_error,
                    "pids": [member.environment.pid for member in pool.idle],
                }
                for name, pool in self._pools.items()
            }

    def stop(self) -> None:
        """End every environment and publish the remaining log lines and metrics."""
        self._stopped.set()
        self._housekeeper.join(5.0)
        self._end(lambda _: True)
        self._publisher.stop()

    def _function(self, call: Call) -> FunctionVersion:
        key = (call.function, call.qualifier, call.revision)
        function = self._functions.get(key)
        if function is None:
            description = self._lambda.get_function(FunctionName=call.function, Qualifier=call.qualifier)
            function = self._functions[key] = FunctionVersion.from_description(description)
            reserved = self._reserved(call.function)
            with self._lock:
                self._pools.setdefault(call.function, Pool()).reserved = reserved
        return function

    def _reserved(self, name: str) -> int | None:
        response: Mapping[str, Any] = self._lambda.get_function_concurrency(FunctionName=name)
        reserved = response.get("ReservedConcurrentExecutions")
        return None if reserved is None else int(reserved)

    def _reserve(self, function: FunctionVersion, subject: Subject) -> tuple[Pool, int]:
        with self._lock:
            pool = self._pools[function.name]
            limit = UNRESERVED_CONCURRENCY if pool.reserved is None else pool.reserved
            if pool.busy < limit:
                pool.busy += 1
                return pool, pool.busy
            reserved = pool.reserved is not None
        report.throttle(self._publisher, subject)
        raise ThrottlingError(
            "ReservedFunctionConcurrentInvocationLimitExceeded" if reserved else "ConcurrentInvocationLimitExceeded"
        )

    def _idle_member(self, pool: Pool, function: FunctionVersion) -> Member | None:
        """The environment of this version that was busy last, or None; dead ones are cleared away."""
        with self._lock:
            for member in reversed(pool.idle):
                if member.function == function and member.environment.usable:
                    pool.idle.remove(member)
                    return member
        return None

    def _start(self, function: FunctionVersion) -> Member:
        image = staged_image(self._images, function.image_tag)
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{time.time_ns():032x}"
        folder = self._site.temporary / stream[-32:]
        folder.mkdir(parents=True)
        site = replace(self._site, temporary=folder)
        command = function.command or image.command
        variables = process_variables(function, site, image.folder, command, stream, self._credentials(function))
        launch = Launch(
            self._emulator, image.folder, command, variables, function.timeout_seconds, self._log_file(function, stream)
        )
        log.info("cold start of %s version %s (image %s)", function.name, function.version, image.tag)
        return Member(ExecutionEnvironment(launch), function, stream, folder)

    def _log_file(self, function: FunctionVersion, stream: str) -> Path:
        return self._logs / f"{function.name}-{stream[-32:]}.log"

    def _credentials(self, function: FunctionVersion) -> Mapping[str, str]:
        response = self._sts.assume_role(
            RoleArn=function.role, RoleSessionName=function.name, DurationSeconds=CREDENTIAL_SECONDS
        )
        credentials: Mapping[str, str] = response["Credentials"]
        return credentials

    def _release(self, pool: Pool, member: Member | None) -> None:
        with self._lock:
            pool.busy -= 1
            keep = member is not None and member.environment.usable and not self._stopped.is_set()
            if member is not None and keep:
                pool.idle.append(member)
        if member is not None and not keep:
            _discard(member)

    def _housekeep(self) -> None:
        while not self._stopped.wait(HOUSEKEEPING_SECONDS):
            self._end(self._overdue)
            for name, pool in list(self._pools.items()):
                try:
                    pool.reserved = self._reserved(name)
                except (ClientError, BotoCoreError) as error:  # AWS is going down, or the function is gone
                    log.debug("concurrency of %s not read: %s", name, error)

    def _overdue(self, member: Member) -> bool:
        now, environment = time.monotonic(), member.environment
        return (
            not environment.usable
            or now - environment.last_used > self._idle_seconds
            or now - environment.started_at > LIFETIME_SECONDS
        )

    def _end(self, unwanted: Callable[[Member], bool]) -> None:
        with self._lock:
            ended = [member for pool in self._pools.values() for member in pool.idle if unwanted(member)]
            for pool in self._pools.values():
                pool.idle = [member for member in pool.idle if member not in ended]
        for member in ended:
            _discard(member)


def _discard(member: Member) -> None:
    log.info("ending an execution environment of %s version %s", member.function.name, member.function.version)
    member.environment.end()
    shutil.rmtree(member.folder, ignore_errors=True)


def _error_summary(payload: bytes) -> str:
    try:
        error = json.loads(payload)
        return f"{error['errorType']}: {error['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return payload.decode(errors="replace")[:400]


def _resource(call: Call) -> str:
    """``name`` or ``name:alias`` from the ARN that was called: Lambda's dimension Resource."""
    parts = call.arn.split(":")
    qualifier = parts[7] if len(parts) > 7 else ""
    return f"{call.function}:{qualifier}" if qualifier and qualifier != "$LATEST" else call.function
