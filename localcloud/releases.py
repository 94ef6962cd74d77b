"""Replays CodeDeploy's lifecycle of a Lambda deployment against the deployed functions and alarms of the local cloud.

**It stands in for CodeDeploy**, which MiniStack does not have; docs/releases.md lists what is replayed. Hooks,
synthetic traffic, the weights of the alias and the alarms are the deployed ones; this module
implements the order of events, the polling of the alarms and the rollback.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Status = Literal["Succeeded", "Failed", "Stopped"]
POLL_SECONDS = 1.0
# CodeDeploy quotas: a lifecycle event that is not completed in 3,600 s fails.
HOOK_SECONDS = 3600.0


@dataclass(frozen=True)
class Plan:
    """One deployment.

    Attributes
    ----------
    weights
        Shares of the traffic for the new version, one after the other; all of it follows the last.
    interval
        Seconds between two shifts.
    minute
        Seconds between two rounds of synthetic traffic: a minute, or less where time is short.
    before, after, synthetic
        Names of functions, or None.
    alarms
        Names of the rollback alarms.
    """

    function: str
    alias: str
    current: str
    target: str
    weights: Sequence[float]
    interval: float
    minute: float
    before: str | None
    after: str | None
    synthetic: str | None
    alarms: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """How a deployment ended; ``reason`` names the hook or the alarm, ``findings`` are the hook's or synthetic ones."""

    status: Status
    reason: str
    findings: tuple[str, ...] = ()

    @property
    def rolled_back(self) -> bool:
        return self.status != "Succeeded"


class Reports(Protocol):
    """Where hooks report: `localcloud.hook_reports` behind the fleet's port."""

    def expect(self, deployment: str, execution: str) -> None: ...
    def status(self, execution: str) -> str | None: ...


class Clock(Protocol):
    """Clock that tests replace."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class Deployment:
    """One deployment of a new version, from the first hook to the last or to the rollback.

    Parameters
    ----------
    functions, cloudwatch
        boto3 clients of the local cloud.
    notify
        Takes a sentence for each event.
    """

    def __init__(
        self,
        plan: Plan,
        functions: Any,
        cloudwatch: Any,
        reports: Reports,
        notify: Callable[[str], None],
        clock: Clock = time,
    ) -> None:
        self._plan, self._functions, self._cloudwatch = plan, functions, cloudwatch
        self._reports, self._notify, self._clock = reports, notify, clock
        self._id = f"d-{uuid.uuid4().hex[:9].upper()}"
        self._findings: tuple[str, ...] = ()

    def run(self) -> Outcome:
        """Check, shift and check again; after a failure or an alarm move the alias back."""
        plan = self._plan
        self._notify(f"deployment {self._id}: {plan.alias} from version {plan.current} to {plan.target}")
        with ExitStack() as undo:
            # If the local cloud fails, or after Ctrl-C, no weights are left behind.
            undo.callback(self._route, plan.current)
            outcome = next(filter(None, self._events()), Outcome("Succeeded", "all traffic has moved"))
            undo.pop_all()
        if outcome.rolled_back:
            self._route(plan.current)
            self._notify(f"{outcome.status}: {outcome.reason}; {plan.alias} is back at version {plan.current}")
        else:
            self._notify(f"{outcome.status}: {plan.alias} is at version {plan.target}")
        return outcome

    def _events(self) -> Iterator[Outcome | None]:
        """Run the lifecycle events; yield None for an event that succeeded."""
        plan = self._plan
        yield self._hook("BeforeAllowTraffic", plan.before)
        for weight in plan.weights:
            yield self._alarm()
            self._route(plan.current, {plan.target: weight})
            self._notify(f"AllowTraffic: {weight:.0%} to version {plan.target}")
            yield self._watch()
        yield self._alarm()
        self._route(plan.target)
        self._notify(f"AllowTraffic: 100% to version {plan.target}")
        yield self._hook("AfterAllowTraffic", plan.after)
        yield self._alarm()

    def _watch(self) -> Outcome | None:
        """Wait for an interval; send synthetic traffic every minute and poll the alarms every second."""
        plan, end = self._plan, self._clock.monotonic() + self._plan.interval
        next_round = self._clock.monotonic()
        while self._clock.monotonic() < end:
            if plan.synthetic and self._clock.monotonic() >= next_round:
                next_round += plan.minute
                self._synthetic(plan.synthetic)
            if outcome := self._alarm():
                return outcome
            self._clock.sleep(POLL_SECONDS)
        return None

    def _synthetic(self, name: str) -> None:
        try:
            result = self._invoke(name, {})
        except ClientError as error:
            if error.response["Error"]["Code"] != "TooManyRequestsException":
                raise
            # MiniStack runs the schedule, too: its round is in progress.
            return
        findings = tuple(result.get("findings", ())) if isinstance(result, dict) else ()
        self._findings = (*self._findings, *(item for item in findings if item not in self._findings))

    def _alarm(self) -> Outcome | None:
        if not self._plan.alarms:
            return None
        alarms = self._cloudwatch.describe_alarms(AlarmNames=list(self._plan.alarms))["MetricAlarms"]
        in_alarm = [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM"]
        return Outcome("Stopped", f"alarm {', '.join(in_alarm)}", self._findings) if in_alarm else None

    def _hook(self, event: str, name: str | None) -> Outcome | None:
        if name is None:
            return None
        execution = uuid.uuid4().hex
        self._reports.expect(self._id, execution)
        result = self._invoke(name, {"DeploymentId": self._id, "LifecycleEventHookExecutionId": execution})
        findings = tuple(result.get("findings", ())) if isinstance(result, dict) else ()
        end = self._clock.monotonic() + HOOK_SECONDS
        while (status := self._reports.status(execution)) is None:
            if self._clock.monotonic() >= end:
                return Outcome("Failed", f"{event}: {name} reported nothing within {HOOK_SECONDS:.0f} s", findings)
            self._clock.sleep(POLL_SECONDS)
        self._notify(f"{event}: {name} reports {status}")
        return None if status == "Succeeded" else Outcome("Failed", f"{event}: {name} reports {status}", findings)

    def _invoke(self, name: str, event: Mapping[str, Any]) -> Any:
        reply = self._functions.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        return json.loads(reply["Payload"].read() or b"null")

    def _route(self, version: str, weights: Mapping[str, float] | None = None) -> None:
        self._functions.update_alias(
            FunctionName=self._plan.function,
            Name=self._plan.alias,
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": dict(weights or {})},
        )


def weights_of(strategy: str, percent: int) -> list[float]:
    """Shares of the traffic for the new version before all of it.

    Source: CodeDeploy user guide, 'Deployment configurations on an AWS Lambda compute platform': canary shifts in two
    increments, linear in equal increments with an equal number of minutes between them.
    """
    if strategy == "canary":
        return [percent / 100]
    if strategy == "linear":
        return [step / 100 for step in range(percent, 100, percent)]
    return []
