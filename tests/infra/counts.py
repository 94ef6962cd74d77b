"""What the planner counts of an environment, compared with its template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.settings import load_settings
from tests.infra.synthesis import Synthesized, context
from tools.plan.inventory import (
    CACHE_SERIES,
    METRICS_OF_A_METHOD,
    OWN_SERIES,
    RELEASE_SERIES,
    SHADOW_SERIES,
    contract,
    inventory,
)


def assert_counts(template: Synthesized, patch: Mapping[str, Any]) -> None:
    """Compare the planner's counts for an environment with settings over it with its template."""
    counted = inventory(load_settings(context(), template.name, patch), 2)
    alarms = [resource["Properties"] for resource in template.resources("AWS::CloudWatch::Alarm").values()]
    watched = sum(sum("MetricStat" in item for item in alarm.get("Metrics", [])) or 1 for alarm in alarms)
    assert counted.alarm_metrics == watched
    periods = {
        item["MetricStat"]["Period"] for alarm in alarms for item in alarm.get("Metrics", []) if "MetricStat" in item
    }
    assert counted.high_resolution == any(period < 60 for period in periods)
    assert counted.composite_alarms == len(template.resources("AWS::CloudWatch::CompositeAlarm"))
    acls = template.resources("AWS::WAFv2::WebACL").values()
    assert counted.waf_rules == sum(len(acl["Properties"]["Rules"]) for acl in acls)
    assert counted.secrets == len(template.resources("AWS::SecretsManager::Secret"))
    assert counted.keys == len(template.resources("AWS::KMS::Key"))
    methods = len(template.resources("AWS::ApiGateway::Method"))
    detailed = any(item["MetricsEnabled"] for item in template.only("AWS::ApiGateway::Stage")["MethodSettings"])
    functions = {
        resource["Properties"].get("FunctionName"): resource["Properties"]
        for resource in template.resources("AWS::Lambda::Function").values()
    }
    variables = functions[f"loupe-{template.name}"]["Environment"]["Variables"]
    cached = "LOUPE_CACHE_MIB" in variables
    own = OWN_SERIES + cached * CACHE_SERIES
    models = len(variables.get("LOUPE_MODELS", "one").split(","))
    series = models * (own + len(contract().problem_codes) + 2)
    if arms := variables.get("LOUPE_EXPERIMENT_ARMS"):
        series += own * len(arms.split(",")) + ("LOUPE_EXPERIMENT_PARAMETER" in variables)
    tokens = f"loupe-{template.name}-authorizer" in functions
    shadow = f"loupe-{template.name}-shadow" in functions
    by_release = RELEASE_SERIES * ("LOUPE_METRICS_BY_RELEASE" in variables)
    further = by_release + shadow * SHADOW_SERIES + detailed * METRICS_OF_A_METHOD * methods
    assert counted.custom_metrics == series + tokens + further
    assert shadow == (counted.shadow is not None)
    traced = template.only("AWS::ApiGateway::Stage")["TracingEnabled"]
    assert traced == (counted.traces is not None)
