"""Provisioned concurrency: what the template asks for, and which settings are rejected."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.cron import check_cron
from infra.settings import SettingsError, load_settings
from tests.infra.synthesis import Synthesized, synthesize

OFFICE = {
    "name": "office-hours", "cron": "cron(0 7 ? * MON-FRI *)", "time_zone": "Europe/Berlin", "min": 5, "max": 20,
}  # fmt: skip
NIGHT = {"name": "night", "cron": "cron(0 20 ? * MON-FRI *)", "time_zone": "Europe/Berlin", "min": 1, "max": 1}
PROVISIONED = {"min": 2, "max": 20, "target_utilization": 0.6}
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"


@pytest.fixture(scope="module")
def scaled() -> Synthesized:
    patch = {"scaling": {"provisioned": PROVISIONED, "schedules": [OFFICE, NIGHT]}}
    return synthesize("prod", patch)


def test_the_alias_starts_with_the_minimum(scaled: Synthesized) -> None:
    alias = scaled.only("AWS::Lambda::Alias")
    assert alias["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 2}
    # Lambda takes no weights on an alias that has provisioned concurrency.
    assert "RoutingConfig" not in alias


def test_the_alias_is_scaled_between_minimum_and_maximum(scaled: Synthesized) -> None:
    ((alias, _),) = scaled.of_endpoint("AWS::Lambda::Alias").items()
    target = scaled.only(TARGET)
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 20)
    assert (target["ServiceNamespace"], target["ScalableDimension"]) == (
        "lambda", "lambda:function:ProvisionedConcurrency",
    )  # fmt: skip
    prefix, name, suffix = target["ResourceId"]["Fn::Join"][1]
    assert (prefix, suffix) == ("function:", ":live")
    # By reference to the alias: the target is made after it, not beside it. (An alias' Ref is its ARN, whose part 6
    # is the function's name.)
    assert name == {"Fn::Select": [6, {"Fn::Split": [":", {"Ref": alias}]}]}


def test_the_share_in_use_is_tracked(scaled: Synthesized) -> None:
    ((target, _),) = scaled.resources(TARGET).items()
    policy = scaled.only(POLICY)
    assert policy["PolicyType"] == "TargetTrackingScaling"
    assert policy["ScalingTargetId"] == {"Ref": target}
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"},
        "TargetValue": 0.6,
    }


def test_schedules_change_the_bounds_in_their_own_time_zone(scaled: Synthesized) -> None:
    assert scaled.only(TARGET)["ScheduledActions"] == [
        {
            "ScheduledActionName": schedule["name"],
            "Schedule": schedule["cron"],
            "Timezone": "Europe/Berlin",
            "ScalableTargetAction": {"MinCapacity": schedule["min"], "MaxCapacity": schedule["max"]},
        }
        for schedule in (OFFICE, NIGHT)
    ]


def test_the_spillover_alarm_fires_after_several_periods(scaled: Synthesized) -> None:
    (alarm,) = [
        resource["Properties"]
        for resource in scaled.resources("AWS::CloudWatch::Alarm").values()
        if resource["Properties"].get("MetricName") == "ProvisionedConcurrencySpilloverInvocations"
    ]
    assert alarm["AlarmName"] == "loupe-prod-ProvisionedSpillover"
    assert (alarm["Threshold"], alarm["Statistic"]) == (1, "Sum")
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (3, 5)
    ((function, _),) = scaled.of_endpoint("AWS::Lambda::Function").items()
    # Lambda developer guide, 'Viewing metrics': an alias' metrics have FunctionName and Resource, name:alias.
    assert {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]} == {
        "FunctionName": {"Ref": function},
        "Resource": {"Fn::Join": ["", [{"Ref": function}, ":live"]]},
    }


def test_the_dashboard_shows_utilization_and_spillover(scaled: Synthesized) -> None:
    body = json.dumps(scaled.only("AWS::CloudWatch::Dashboard"))
    for name in ("ProvisionedConcurrencyUtilization", "ProvisionedConcurrencySpilloverInvocations"):
        assert name in body


def test_the_dashboard_shows_the_planners_inputs(synthesized: Synthesized) -> None:
    body = json.dumps(synthesized.only("AWS::CloudWatch::Dashboard"))
    assert "Duration of the function" in body
    assert '\\"stat\\":\\"p95' in body
    assert "ConcurrentExecutions" in body
    assert "Provisioned" not in body


def test_optional_resources_are_off_by_default(synthesized: Synthesized) -> None:
    assert "ProvisionedConcurrencyConfig" not in synthesized.only("AWS::Lambda::Alias")
    assert not synthesized.resources(TARGET)
    assert "Spillover" not in json.dumps(synthesized.template)


def test_a_fixed_number_needs_no_scaling() -> None:
    fixed = synthesize("prod", {"scaling": {"provisioned": {"min": 3, "max": 3}}})
    alias = fixed.only("AWS::Lambda::Alias")
    assert alias["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 3}
    assert not fixed.resources(TARGET)
    assert "ProvisionedSpillover" in json.dumps(fixed.template)


def _schedule(**changes: Any) -> dict[str, Any]:
    return {"provisioned": PROVISIONED, "schedules": [{**OFFICE, **changes}]}


REJECTED = [
    ({"provisioned": {"min": 5, "max": 2}}, "environments.x.scaling.provisioned: min (5) is above max (2)"),
    ({"provisioned": {"min": 0, "max": 2}}, "scaling.provisioned.min: should be greater than or equal to 1 (it is 0)"),
    ({"provisioned": {"min": 1}}, "environments.x.scaling.provisioned.max: "),
    (
        {"provisioned": {"max": 2, "target_utilization": 0.95}},
        "scaling.provisioned.target_utilization: should be less than or equal to 0.9 (it is 0.95)",
    ),
    ({"provisioned": {"max": 2, "target_utilization": 0.05}}, "should be greater than or equal to 0.1 (it is 0.05)"),
    (
        {"provisioned": {"max": 51}},
        "environments.x: scaling.provisioned.max is above function.reserved_concurrency (50), of which it is a part",
    ),
    (_schedule(max=51), "environments.x: scaling.schedules.0.max is above function.reserved_concurrency (50)"),
    (_schedule(min=21), "environments.x.scaling.schedules.0: min (21) is above max (20)"),
    (_schedule(min=0), "scaling.schedules.0.min: should be greater than or equal to 1 (it is 0)"),
    (_schedule(name="Office"), "scaling.schedules.0.name: must be a small letter, then small letters, digits and -"),
    (_schedule(time_zone="Berlin"), "scaling.schedules.0.time_zone: must be a time zone of the IANA database, such as"),
    (_schedule(cron="0 7 * * *"), "scaling.schedules.0.cron: must be cron(...) with six fields (minutes, hours, "),
    (_schedule(cron="cron(0 24 ? * * *)"), "has '24' for its hours, which must be 0 to 23, *, a range or a list"),
    (_schedule(cron="cron(0 7 * * * *)"), "must have ? for either its day-of-month or its day-of-week"),
    (
        {"schedules": [OFFICE]},
        "environments.x.scaling: schedules need provisioned, whose bounds they change",
    ),
    (
        {"provisioned": PROVISIONED, "schedules": [OFFICE, NIGHT, {**OFFICE, "min": 1}]},
        "environments.x.scaling: schedules has the name 'office-hours' twice",
    ),
    ({"provisoned": {}}, "environments.x.scaling.provisoned: there is no such key. Known here: provisioned, schedules"),
]


@pytest.mark.parametrize(("scaling", "sentence"), REJECTED)
def test_impossible_expressions_are_rejected(scaling: dict[str, Any], sentence: str) -> None:
    values = {"function": {"reserved_concurrency": 50}, "scaling": scaling}
    with pytest.raises(SettingsError) as error:
        load_settings({"environments": {"x": values}}, "x")
    assert sentence in str(error.value)


def test_all_of_the_reserve_may_be_provisioned() -> None:
    values = {"function": {"reserved_concurrency": 20}, "scaling": _schedule()}
    assert load_settings({"environments": {"x": values}}, "x").scaling.provisioned


def test_the_local_cloud_rejects_unsupported_settings() -> None:
    values = {"image": {"source": "ecr", "repository": "loupe", "tag": "t"}, "scaling": {"provisioned": {"max": 2}}}
    with pytest.raises(SettingsError, match=r"scaling\.provisioned is not carried by the local cloud"):
        load_settings({"environments": {"local": values}}, "local")


@pytest.mark.parametrize(
    "cron",
    [
        "cron(0 7 ? * MON-FRI *)", "cron(0/15 8-18 * * ? *)", "cron(30 2 L * ? *)",
        "cron(0 0 1,15 JAN-JUN ? 2026-2030)", "cron(0 9 ? * 2#1 *)",
        "cron(0 9 15W 3 ? *)", "cron(*/5 * ? * SUN,SAT *)", "cron(0 22 ? 12 6L *)",
    ],
)  # fmt: skip
def test_expressions_that_aws_accepts_are_accepted(cron: str) -> None:
    assert check_cron(cron) == cron


@pytest.mark.parametrize(
    "cron",
    [
        "", "cron()", "rate(5 minutes)", "at(2026-01-01T00:00:00)", "cron(60 7 ? * * *)", "cron(0 7 0 * ? *)",
        "cron(0 7 32 * ? *)", "cron(0 7 ? 13 * *)", "cron(0 7 ? * FUNDAY *)", "cron(0 7 ? * 8 *)",
        "cron(0 18-8 ? * * *)",
        "cron(0 7 ? * FRI-MON *)", "cron(0 7 ? * ? *)", "cron(0/0 7 ? * * *)", "cron(0 7 ? * 2#6 *)",
        "cron(0, 7 ? * * *)",
        "cron(0 7 ? * MON-FRI)", "cron(0 7 ? * MON-FRI * *)", "cron(0 7 32W * ? *)", "cron(0 7 ? * * 1969)",
        "cron(0 7 1-2-3 * ? *)", "cron(? 7 ? * * *)", "cron(0 ٣ ? * * *)", "cron(0 7 ? * MON *) ",
    ],
)  # fmt: skip
def test_expressions_that_aws_rejects_are_rejected(cron: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_cron(cron)


def test_the_example_in_the_rejection_is_accepted() -> None:
    with pytest.raises(ValueError, match="six fields") as error:
        check_cron("daily")
    example = str(error.value).partition("such as ")[2].partition(" (it")[0]
    assert check_cron(example) == example


def test_every_field_accepts_its_lowest_and_highest_value() -> None:
    assert check_cron("cron(0,59 0,23 1,31 1,12 ? 1970,2199)")
    assert check_cron("cron(0 0 ? JAN,DEC 1,7,SUN,SAT *)")
