"""Gradual releases: what comes before the alias moves, what CodeDeploy may do, what stops a release."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from loupe.release.cases import MAX_IMAGE_BYTES

from infra.cards import MAX_GOLDEN_BYTES, check_golden
from infra.components.release import MAX_ALARMS
from infra.settings import Settings, SettingsError, load_settings
from infra.settings.release import ALARM_PERIODS
from localcloud.alarms import MetricStat, evaluate
from tests.infra.synthesis import ROOT, Synthesized, context, synthesize

OFF = {"release": {"strategy": "all_at_once"}}
FUNCTIONS = ("before", "after", "synthetic")


@pytest.fixture(scope="module")
def without() -> Synthesized:
    return synthesize("prod", OFF)


@pytest.fixture(scope="module")
def local() -> Synthesized:
    return synthesize("local", {"release": {"strategy": "canary"}})


def alias_of(template: Synthesized) -> dict[str, Any]:
    (alias,) = template.of_endpoint("AWS::Lambda::Alias").values()
    return alias


def version_of(template: Synthesized) -> str:
    """Logical ID of the version that the alias moves to."""
    logical_id, attribute = alias_of(template)["Properties"]["FunctionVersion"]["Fn::GetAtt"]
    assert attribute == "Version"
    return str(logical_id)


def release_alarms(template: Synthesized) -> dict[str, dict[str, Any]]:
    alarms = template.resources("AWS::CloudWatch::Alarm")
    return {name: alarm for name, alarm in alarms.items() if "-Release" in alarm["Properties"]["AlarmName"]}


def reached(template: Synthesized, start: str) -> set[str]:
    """Logical IDs that CloudFormation completes before a resource: those that it names, and those that these name."""
    resources, waiting, done = template.template["Resources"], [start], set[str]()

    def names(value: Any) -> set[str]:
        if isinstance(value, dict):
            here = {value["Ref"]} if "Ref" in value else {value["Fn::GetAtt"][0]} if "Fn::GetAtt" in value else set()
            return here.union(*(names(item) for item in value.values()))
        return set().union(*(names(item) for item in value)) if isinstance(value, list) else set()

    while waiting:
        resource = resources[waiting.pop()]
        before = names(resource.get("Properties", {})) | set(resource.get("DependsOn", ()))
        new = {name for name in before if name in resources} - done
        done |= new
        waiting += new
    return done


def test_jobs_get_the_new_version_once_it_has_passed_its_release(prod: Synthesized) -> None:
    (alias,) = prod.of_endpoint("AWS::Lambda::Alias")
    followers = [name for name in prod.resources("AWS::Lambda::Alias") if name != alias]
    assert len(followers) == 2
    assert all(alias in reached(prod, name) for name in followers)


def test_the_alias_moves_after_its_alarms_hooks_and_permissions(prod: Synthesized) -> None:
    """An alarm that was updated later would watch the old version while the new one gets traffic."""
    (alias,) = prod.of_endpoint("AWS::Lambda::Alias")
    before = reached(prod, alias)
    assert set(release_alarms(prod)) <= before
    for kind in ("AWS::CodeDeploy::DeploymentGroup", "AWS::CodeDeploy::DeploymentConfig"):
        assert set(prod.resources(kind)) <= before, kind
    for name in FUNCTIONS[:2]:
        (function,) = (
            key
            for key, item in prod.resources("AWS::Lambda::Function").items()
            if item["Properties"].get("FunctionName") == f"loupe-prod-{name}-traffic"
        )
        assert function in before
    policies = [name for name in prod.resources("AWS::IAM::Policy") if name.startswith("Release")]
    assert len(policies) == 4
    assert {name for name in policies if "Synthetic" not in name} <= before


def test_nothing_that_the_alias_waits_for_waits_for_the_alias(prod: Synthesized) -> None:
    (alias,) = prod.of_endpoint("AWS::Lambda::Alias")
    assert alias not in reached(prod, alias)


def test_codedeploy_moves_the_alias_and_runs_both_hooks(prod: Synthesized) -> None:
    policy = alias_of(prod)["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    functions = prod.resources("AWS::Lambda::Function")
    names = {key: functions[policy[key]["Ref"]]["Properties"]["FunctionName"] for key in policy if "Hook" in key}
    assert names == {
        "BeforeAllowTrafficHook": "loupe-prod-before-traffic",
        "AfterAllowTrafficHook": "loupe-prod-after-traffic",
    }
    group = prod.only_of_release("AWS::CodeDeploy::DeploymentGroup")
    assert group["AutoRollbackConfiguration"]["Enabled"] is True
    assert set(group["AutoRollbackConfiguration"]["Events"]) == {
        "DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST",
    }  # fmt: skip
    assert "IgnorePollAlarmFailure" not in group["AlarmConfiguration"]
    assert {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]} == set(release_alarms(prod))
    assert 0 < len(release_alarms(prod)) <= MAX_ALARMS


def test_the_strategy_is_that_of_the_settings(prod: Synthesized) -> None:
    routing = prod.only_of_release("AWS::CodeDeploy::DeploymentConfig")["TrafficRoutingConfig"]
    assert routing == {
        "Type": "TimeBasedCanary",
        "TimeBasedCanary": {"CanaryInterval": 10, "CanaryPercentage": 10},
    }
    linear = synthesize(
        "prod",
        {"release": {"strategy": "linear", "percent": 25, "interval_minutes": 4}},
    )
    routing = linear.only_of_release("AWS::CodeDeploy::DeploymentConfig")["TrafficRoutingConfig"]
    assert routing == {"Type": "TimeBasedLinear", "TimeBasedLinear": {"LinearInterval": 4, "LinearPercentage": 25}}


def test_release_alarms_watch_the_new_version_alone(prod: Synthesized) -> None:
    version = {"Fn::GetAtt": [version_of(prod), "Version"]}
    for alarm in release_alarms(prod).values():
        properties = alarm["Properties"]
        metrics = [item["MetricStat"]["Metric"] for item in properties.get("Metrics", []) if "MetricStat" in item]
        for metric in metrics or [properties]:
            values = {item["Name"]: item["Value"] for item in metric["Dimensions"]}
            named = [values.get("ExecutedVersion"), values.get("FunctionVersion")]
            by_number = json.dumps(version) in json.dumps(values.get("Resource", ""))
            assert version in named or by_number, metric


def test_release_alarms_judge_within_the_shortest_interval(prod: Synthesized, local: Synthesized) -> None:
    for template, period in ((prod, 60), (local, 10)):
        for alarm in release_alarms(template).values():
            properties = alarm["Properties"]
            periods = {item["MetricStat"]["Period"] for item in properties.get("Metrics", []) if "MetricStat" in item}
            assert (periods or {properties["Period"]}) == {period}
            assert properties["EvaluationPeriods"] == ALARM_PERIODS
            assert properties["DatapointsToAlarm"] < ALARM_PERIODS
    with pytest.raises(SettingsError, match="interval_minutes"):
        settings(release={"interval_minutes": ALARM_PERIODS - 1})


def test_an_alarm_of_another_version_is_another_alarm(prod: Synthesized) -> None:
    """An updated alarm keeps its state: a fix could not be released while the version before it rings."""
    alarms = (item for item in prod.template["Resources"].values() if item["Type"] == "AWS::CloudWatch::Alarm")
    raw = [name for item in alarms if isinstance(name := item["Properties"]["AlarmName"], dict)]
    assert len(raw) == len(release_alarms(prod))
    assert all(name["Fn::Join"][1][1] == {"Fn::GetAtt": [version_of(prod), "Version"]} for name in raw)


@pytest.mark.parametrize(
    ("name", "values", "state"),
    [
        ("ReleaseErrors", {}, "OK"),
        ("ReleaseErrors", {"Errors": 1.0, "Invocations": 1.0}, "OK"),
        ("ReleaseErrors", {"Errors": 2.0, "Invocations": 100.0}, "OK"),
        ("ReleaseErrors", {"Errors": 2.0, "Invocations": 40.0}, "ALARM"),
        ("ReleaseFaults", {"ServerFaults": 1.0, "Requests": 1.0}, "OK"),
        ("ReleaseFaults", {"ServerFaults": 5.0, "Requests": 100.0}, "ALARM"),
        ("ReleaseFaults", {"ServerFaults": 2.0}, "ALARM"),
        ("ReleaseSynthetic", {"SyntheticFailures": 0.0}, "OK"),
        ("ReleaseSynthetic", {"SyntheticFailures": 1.0}, "ALARM"),
        ("ReleaseLatency", {"TotalLatency": 2_999.0}, "OK"),
        ("ReleaseLatency", {"TotalLatency": 3_000.0}, "ALARM"),
    ],
)
def test_a_release_alarm_goes_off_at_its_threshold(
    prod: Synthesized, name: str, values: dict[str, float], state: str
) -> None:
    (alarm,) = (
        item["Properties"]
        for item in release_alarms(prod).values()
        if item["Properties"]["AlarmName"] == f"loupe-prod-{name}-<version>"
    )

    def read(metric: MetricStat, periods: int) -> list[float | None]:
        # By alias; nothing was invoked by number.
        by_number = not any(key in ("ExecutedVersion", "FunctionVersion") for key, _ in metric.dimensions)
        return [None if by_number else values.get(metric.name)] * periods

    assert evaluate({**alarm, "StateValue": "OK"}, read)[0] == state


def test_invocations_by_number_count_as_well(prod: Synthesized) -> None:
    (alarm,) = (item["Properties"] for item in release_alarms(prod).values() if "Errors" in json.dumps(item))

    def read(metric: MetricStat, periods: int) -> list[float | None]:
        by_alias = any(key == "ExecutedVersion" for key, _ in metric.dimensions)
        return [None if by_alias else 3.0] * periods

    assert evaluate({**alarm, "StateValue": "OK"}, read)[0] == "ALARM"


def statements(template: Synthesized, role: str) -> dict[str, Any]:
    """Resources by action of a role's policy."""
    (policy,) = (
        item["Properties"]["PolicyDocument"]["Statement"]
        for name, item in template.resources("AWS::IAM::Policy").items()
        if name.startswith(role)
    )
    granted: dict[str, Any] = {}
    for statement in policy:
        actions = statement["Action"]
        granted |= dict.fromkeys([actions] if isinstance(actions, str) else actions, statement["Resource"])
    return granted


def test_codedeploy_may_move_this_alias_and_invoke_its_hooks_only(prod: Synthesized) -> None:
    granted = statements(prod, "ReleaseRole")
    assert set(granted) == {
        "lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:InvokeFunction",
        "cloudwatch:DescribeAlarms",
    }  # fmt: skip
    assert granted["cloudwatch:DescribeAlarms"] == "*", "DescribeAlarms takes no resource"
    assert all("*" not in json.dumps(value) for key, value in granted.items() if key.startswith("lambda"))
    role = next(item for name, item in prod.resources("AWS::IAM::Role").items() if name.startswith("ReleaseRole"))
    assert "ManagedPolicyArns" not in role["Properties"]
    trusted = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert [item["Principal"] for item in trusted] == [{"Service": "codedeploy.amazonaws.com"}]


def test_a_hook_may_invoke_versions_and_report_to_its_group(prod: Synthesized) -> None:
    (group,) = prod.resources("AWS::CodeDeploy::DeploymentGroup")
    for role in ("ReleaseBeforeTraffic", "ReleaseAfterTraffic"):
        granted = statements(prod, role)
        assert set(granted) == {
            "lambda:InvokeFunction", "codedeploy:PutLifecycleEventHookExecutionStatus", "logs:CreateLogStream",
            "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
        }  # fmt: skip
        assert {"Ref": group} in granted["codedeploy:PutLifecycleEventHookExecutionStatus"]["Fn::Join"][1]
    synthetic = statements(prod, "ReleaseSyntheticTraffic")
    assert {"lambda:InvokeFunction", "lambda:GetAlias"} <= set(synthetic)
    assert "codedeploy:PutLifecycleEventHookExecutionStatus" not in synthetic


def test_a_release_function_knows_the_version_and_runs_the_image_of_the_classifier(prod: Synthesized) -> None:
    functions = {
        item["Properties"]["FunctionName"]: item["Properties"]
        for item in prod.resources("AWS::Lambda::Function").values()
        if "FunctionName" in item["Properties"]
    }
    for name in FUNCTIONS:
        function = functions[f"loupe-prod-{name}-traffic"]
        assert function["Code"] == functions["loupe-prod"]["Code"]
        variables = function["Environment"]["Variables"]
        assert variables["LOUPE_RELEASE_VERSION"] == {"Fn::GetAtt": [version_of(prod), "Version"]}
        assert variables["LOUPE_RELEASE_FUNCTION"] == "loupe-prod"
        assert function["Timeout"] <= 900
        assert function["ReservedConcurrentExecutions"] == 1
    assert functions["loupe-prod"]["Environment"]["Variables"]["LOUPE_METRICS_BY_RELEASE"] == "true"


def test_synthetic_traffic_runs_every_minute_and_is_not_repeated(prod: Synthesized) -> None:
    rule = prod.only_of_release("AWS::Events::Rule")
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    (target,) = rule["Targets"]
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}


def test_without_hooks_and_synthetic_traffic_the_alarms_remain() -> None:
    bare = synthesize("prod", {"release": {"hooks": False, "synthetic_traffic": False}})
    assert "BeforeAllowTrafficHook" not in json.dumps(alias_of(bare))
    assert len(release_alarms(bare)) == 3
    assert not [name for name in bare.resources("AWS::Lambda::Function") if name.startswith("Release")]


def test_all_at_once_has_nothing_of_it(without: Synthesized, prod: Synthesized) -> None:
    text = json.dumps(without.template)
    assert "CodeDeploy" not in text
    assert "LOUPE_METRICS_BY_RELEASE" not in text
    assert not release_alarms(without)
    assert "UpdatePolicy" not in alias_of(without)
    added = set(prod.template["Resources"]) - set(without.template["Resources"])
    assert all(name.startswith(("Release", "MonitoringRelease", "ClassifierFunctionCurrentVersion")) for name in added)
    assert len(added) == 24


def test_strategy_on_and_off_publishes_a_version_and_keeps_the_alias(without: Synthesized, prod: Synthesized) -> None:
    """On: the group exists before the alias moves. Off: the alias moves without one."""
    assert version_of(prod) != version_of(without)
    (one,), (other,) = prod.of_endpoint("AWS::Lambda::Alias"), without.of_endpoint("AWS::Lambda::Alias")
    assert one == other
    assert alias_of(prod)["Properties"].keys() == alias_of(without)["Properties"].keys()


def test_the_local_cloud_has_hooks_and_alarms_without_codedeploy(local: Synthesized) -> None:
    assert not [item for item in local.template["Resources"].values() if "CodeDeploy" in item["Type"]]
    assert len(release_alarms(local)) == 4
    names = {item["Properties"].get("FunctionName") for item in local.resources("AWS::Lambda::Function").values()}
    assert {f"loupe-local-{name}-traffic" for name in FUNCTIONS} <= names
    (version,) = (item for key, item in local.resources("AWS::Lambda::Version").items() if key.startswith("Classifier"))
    assert version["DeletionPolicy"] == "RetainExceptOnCreate", "the alias may go back to its predecessor"


def settings(environment: str = "prod", **patch: Any) -> Settings:
    return load_settings(context(), environment, patch)


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        ({"release": {"strategy": "slow"}}, "all_at_once"),
        ({"release": {"percent": 100}}, "percent"),
        ({"release": {"strategy": "linear", "percent": 1, "interval_minutes": 30}}, "takes 2970 minutes"),
        ({"release": {"interval_minutes": 2881}}, "interval_minutes"),
        ({"release": {"environments": 26}}, "above half of function.reserved_concurrency"),
        ({"alarms": {"enabled": False}}, "rolls back by alarms: set alarms.enabled"),
        ({"release": {"keep_versions": 1}}, "keep_versions"),
        (
            {"function": {"snap_start": True}, "scaling": {"provisioned": {"max": 2}}},
            "function.snap_start and scaling.provisioned exclude each other",
        ),
        (
            {"function": {"snap_start": True, "ephemeral_storage_mib": 1024}},
            "function.snap_start needs function.ephemeral_storage_mib of at most 512",
        ),
        (
            {"function": {"snap_start": True}, "shadow": {"challenger": "hair-type-large"}},
            "function.snap_start and shadow.challenger exclude each other",
        ),
    ],
)
def test_what_aws_would_reject_is_rejected_at_synth(patch: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        settings(**patch)


def test_snap_start_is_not_carried_by_the_local_cloud() -> None:
    with pytest.raises(SettingsError, match="snap_start is not carried by the local cloud"):
        settings("local", function={"snap_start": True})


def test_a_linear_shift_takes_a_step_less_than_it_has_increments() -> None:
    assert settings(release={"strategy": "linear", "percent": 30, "interval_minutes": 5}).release.shift_minutes == 15
    assert settings().release.shift_minutes == 10
    assert settings("dev").release.shift_minutes == 0


def test_snap_start_is_for_published_versions_and_off_is_explicit(prod: Synthesized) -> None:
    snap = synthesize("prod", {"function": {"snap_start": True}})
    assert snap.only("AWS::Lambda::Function")["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert prod.only("AWS::Lambda::Function")["SnapStart"] == {"ApplyOn": "None"}


def test_a_golden_image_that_no_release_could_send_is_rejected_at_synth(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models" / "hair-type", tmp_path / "hair-type")
    check_golden(tmp_path, ["hair-type"])
    image = tmp_path / "hair-type" / "golden" / "curly-1.jpg"
    image.write_bytes(bytes(MAX_GOLDEN_BYTES + 1))
    with pytest.raises(SettingsError, match=r"golden/curly-1\.jpg has .* bytes, and a release sends"):
        check_golden(tmp_path, ["hair-type"])
    image.unlink()
    with pytest.raises(SettingsError, match=r"golden/curly-1\.jpg is missing, and release.hooks would stop"):
        check_golden(tmp_path, ["hair-type"])
    assert MAX_GOLDEN_BYTES == MAX_IMAGE_BYTES
