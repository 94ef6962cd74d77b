"""The stand-in for CodeDeploy: the order of events, weights, alarms, hooks and rollbacks, with a clock that is held."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.hook_reports import HookReports, ReportError
from localcloud.releases import HOOK_SECONDS, Deployment, Plan, weights_of

PLAN = Plan(
    function="f",
    alias="live",
    current="6",
    target="7",
    weights=(0.1,),
    interval=180.0,
    minute=60.0,
    before="before",
    after="after",
    synthetic="synthetic",
    alarms=("f-ReleaseErrors-7",),
)


class Clock:
    """Sleeping is what makes time pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Cloud:
    """Lambda, CloudWatch and the reports of hooks; records what happens, in order.

    Parameters
    ----------
    reports
        Status that a hook reports, by name; None for none.
    rings_at
        Second at which the alarm goes off.
    """

    def __init__(self, reports: dict[str, str | None] | None = None, rings_at: float | None = None) -> None:
        self.clock, self.events, self.requests = Clock(), [], {}
        self.errors: dict[str, ClientError] = {}
        self._reports = {"before": "Succeeded", "after": "Succeeded", **(reports or {})}
        self._rings_at, self._store = rings_at, HookReports()
        self.expect, self.status = self._store.expect, self._store.status

    def invoke(self, FunctionName: str, Payload: bytes) -> Any:  # noqa: N803
        if FunctionName in self.errors:
            raise self.errors[FunctionName]
        request = json.loads(Payload)
        self.requests[FunctionName] = request
        self.events.append(FunctionName)
        if (status := self._reports.get(FunctionName)) is not None:
            self._store.put(
                {
                    "deploymentId": request["DeploymentId"],
                    "lifecycleEventHookExecutionId": request["LifecycleEventHookExecutionId"],
                    "status": status,
                }
            )
        findings = ["golden case x: wrong."] if status == "Failed" else []
        return {"Payload": io.BytesIO(json.dumps({"findings": findings}).encode())}

    def update_alias(self, **arguments: Any) -> None:
        weights = arguments["RoutingConfig"]["AdditionalVersionWeights"]
        self.events.append((arguments["FunctionVersion"], weights))

    def describe_alarms(self, AlarmNames: list[str]) -> Any:  # noqa: N803
        rings = self._rings_at is not None and self.clock.now >= self._rings_at
        return {"MetricAlarms": [{"AlarmName": AlarmNames[0], "StateValue": "ALARM" if rings else "OK"}]}

    def deploy(self, **changed: Any) -> Any:
        plan = Plan(**{**PLAN.__dict__, **changed})
        return Deployment(plan, self, self, self, lambda _: None, self.clock).run()


def test_the_events_come_in_the_documented_order() -> None:
    cloud = Cloud()
    assert cloud.deploy().status == "Succeeded"
    minutes = ["synthetic"] * 3
    assert cloud.events == ["before", ("6", {"7": 0.1}), *minutes, ("7", {}), "after"]
    assert cloud.clock.now == 180


def test_a_hook_gets_its_ids_and_its_report_decides() -> None:
    cloud = Cloud()
    cloud.deploy()
    assert set(cloud.requests["before"]) == {"DeploymentId", "LifecycleEventHookExecutionId"}
    assert cloud.requests["before"]["DeploymentId"] == cloud.requests["after"]["DeploymentId"]
    ids = {cloud.requests[name]["LifecycleEventHookExecutionId"] for name in ("before", "after")}
    assert len(ids) == 2


def test_a_failed_hook_leaves_the_alias_where_it_was() -> None:
    cloud = Cloud({"before": "Failed"})
    outcome = cloud.deploy()
    assert (outcome.status, outcome.findings) == ("Failed", ("golden case x: wrong.",))
    assert cloud.events == ["before", ("6", {})], "no weight was ever set"


def test_a_failed_hook_after_the_shift_moves_the_alias_back() -> None:
    cloud = Cloud({"after": "Failed"})
    assert cloud.deploy().reason == "AfterAllowTraffic: after reports Failed"
    assert cloud.events[-3:] == [("7", {}), "after", ("6", {})]


def test_a_hook_that_never_reports_fails_after_an_hour() -> None:
    cloud = Cloud({"before": None})
    outcome = cloud.deploy()
    assert (outcome.status, cloud.clock.now) == ("Failed", HOOK_SECONDS)
    assert "reported nothing within 3600 s" in outcome.reason


@pytest.mark.parametrize(("second", "rounds"), [(30, 1), (100, 2)])
def test_an_alarm_stops_the_shift_and_the_alias_returns(second: float, rounds: int) -> None:
    cloud = Cloud(rings_at=second)
    outcome = cloud.deploy()
    assert (outcome.status, outcome.reason) == ("Stopped", "alarm f-ReleaseErrors-7")
    assert cloud.clock.now == second
    assert cloud.events == ["before", ("6", {"7": 0.1}), *["synthetic"] * rounds, ("6", {})]


def test_an_alarm_that_rings_already_stops_the_deployment_before_traffic() -> None:
    cloud = Cloud(rings_at=0)
    assert cloud.deploy().status == "Stopped"
    assert cloud.events == ["before", ("6", {})]


def test_without_hooks_and_alarms_the_traffic_moves() -> None:
    cloud = Cloud(rings_at=0)
    assert cloud.deploy(before=None, after=None, synthetic=None, alarms=()).status == "Succeeded"
    assert cloud.events == [("6", {"7": 0.1}), ("7", {})]


@pytest.mark.parametrize(
    ("strategy", "percent", "weights"),
    [
        ("canary", 10, [0.1]),
        ("linear", 25, [0.25, 0.5, 0.75]),
        ("linear", 30, [0.3, 0.6, 0.9]),
        ("linear", 60, [0.6]),
        ("all_at_once", 10, []),
    ],
)
def test_weights_follow_the_strategy(strategy: str, percent: int, weights: list[float]) -> None:
    assert weights_of(strategy, percent) == weights


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"deploymentId": "d-2"}, "DeploymentDoesNotExistException"),
        ({"lifecycleEventHookExecutionId": "e-2"}, "InvalidLifecycleEventHookExecutionIdException"),
        ({"status": "InProgress"}, "InvalidLifecycleEventHookExecutionStatusException"),
    ],
)
def test_reports_are_rejected_as_codedeploy_rejects_them(changed: dict[str, str], code: str) -> None:
    reports = HookReports()
    reports.expect("d-1", "e-1")
    report = {"deploymentId": "d-1", "lifecycleEventHookExecutionId": "e-1", "status": "Failed"}
    with pytest.raises(ReportError) as error:
        reports.put({**report, **changed})
    assert error.value.code == code
    assert reports.put(report) == {"lifecycleEventHookExecutionId": "e-1"}
    assert reports.status("e-1") == "Failed"
    with pytest.raises(ReportError) as error:
        reports.put(report)
    assert error.value.code == "LifecycleEventAlreadyCompletedException"


def test_a_round_that_the_schedule_has_begun_is_left_to_it() -> None:
    cloud = Cloud()
    cloud.errors["synthetic"] = ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")
    assert cloud.deploy().status == "Succeeded"


def test_an_error_of_the_cloud_leaves_no_weights_behind() -> None:
    cloud = Cloud()
    cloud.errors["synthetic"] = ClientError({"Error": {"Code": "ServiceException"}}, "Invoke")
    with pytest.raises(ClientError):
        cloud.deploy()
    assert cloud.events[-1] == ("6", {})
