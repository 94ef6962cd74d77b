"""The planner's inventory of an environment equals its template and the function's metrics."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from io import BytesIO
from typing import Any

import pytest
from loupe.errors import all_problems
from PIL import Image
from synthesis import ROOT, Synthesized, context, synthesize
from transitions import EXPERIMENT

from infra.settings import load_settings
from tools.plan.costs import LAMBDA_LOG_BYTES
from tools.plan.inventory import (
    CACHE_SERIES,
    METRICS_OF_A_METHOD,
    OWN_SERIES,
    RELEASE_SERIES,
    SHADOW_SERIES,
    Inventory,
    contract,
    inventory,
)

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PATCHES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "scaled": {"scaling": {"provisioned": {"max": 2}}},
    "silent": {"alarms": {"enabled": False}},
    "guarded": {
        "firewall": {
            "enabled": True,
            "blocked_countries": ["KP"],
            "trusted_networks": ["192.0.2.0/24", "2001:db8::/32"],
            "blocked_networks": ["198.51.100.0/24"],
        }
    },
    "tokens": {"auth": {"mode": "jwt", "jwt": {"issuer": "https://id.example.com/", "audience": ["images"]}}},
    "one message each": {"alarms": {"composite": False}},
    "by signature": {"auth": {"mode": "iam"}},
    "clients": {"auth": {"clients": {"app": {}, "batch": {"secret": "team/key"}}}},
    "own key": {"protection": {"kms_key": KEY}},
    "several models": {"models": [{"name": "hair-type"}, {"name": "hair-type-large"}]},
    "experiment": EXPERIMENT,
    "cache": {"cache": {"memory_mib": 64}},
    "shadow test": {"shadow": {"challenger": "hair-type-large"}},
    "methods": {"api": {"method_metrics": True, "cors_origins": ["https://example.com"]}},
}


def _counted(environment: str, patch: dict[str, Any]) -> Inventory:
    return inventory(load_settings(context(), environment, patch), 2)


def _compare(template: Synthesized, counted: Inventory) -> None:
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


def test_an_environment_has_what_the_planner_counts(synthesized: Synthesized) -> None:
    _compare(synthesized, _counted(synthesized.name, {}))


@pytest.mark.parametrize("name", [name for name in PATCHES if name != "as it is"])
def test_other_settings_have_what_the_planner_counts(name: str, tmp_path) -> None:
    _compare(synthesize(tmp_path, "dev", PATCHES[name]), _counted("dev", PATCHES[name]))


def _written(**variables: str) -> list[str]:
    """Return the log lines of a classification and of a batch of two, one of them broken."""
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "brown").save(buffer, "JPEG")
    image = base64.b64encode(buffer.getvalue()).decode()
    batch = [{"image": image}, {"image": image[:200]}]
    code = (
        "import json, sys, types, handler\n"
        "context = types.SimpleNamespace(aws_request_id='8f4e2c1a-0000-0000-0000-000000000000',\n"
        "                                get_remaining_time_in_millis=lambda: 9000)\n"
        "for line in sys.stdin:\n"
        "    handler.handler(json.loads(line), context)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(json.dumps(event) for event in ({"image": image}, {"image": image}, {"items": batch})),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LOUPE_ENVIRONMENT": "prod", "LOUPE_MODEL": "hair-type", **variables},
        cwd=ROOT,
    )
    return run.stdout.splitlines()


@pytest.fixture(scope="module")
def written() -> list[str]:
    return _written()


def _series(lines: list[str]) -> set[tuple[str, tuple[str, ...]]]:
    return {
        (metric["Name"], tuple(sorted(set(names) - {"Environment", "Model"})))
        for line in lines
        for directive in json.loads(line).get("_aws", {}).get("CloudWatchMetrics", [])
        for names in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


def test_the_function_emits_as_many_series_as_the_planner_counts(written: list[str]) -> None:
    series = _series(written)
    assert sum(not further for _, further in series) == OWN_SERIES, series
    assert {further for _, further in series} == {(), ("Label",), ("Code",)}
    # An upper bound: the contract also has the gateway's codes.
    assert {problem.code for problem in all_problems()} <= set(contract().problem_codes)


def test_a_cache_adds_the_series_that_the_planner_counts(written: list[str]) -> None:
    added = _series(_written(LOUPE_CACHE_MIB="1")) - _series(written)
    assert added == {("CacheHits", ()), ("CacheMisses", ())}
    assert len(added) == CACHE_SERIES


def test_an_experiment_adds_the_series_that_the_planner_counts_for_each_arm() -> None:
    """HTTP requests of two arms, and a parameter that cannot be read."""
    code = (
        "import json, sys, types, handler\n"
        "context = types.SimpleNamespace(aws_request_id='r', get_remaining_time_in_millis=lambda: 9000)\n"
        "def send(path, body, user):\n"
        "    handler.handler({'httpMethod': 'POST', 'path': path, 'body': body, 'headers': {'x-user-id': user},\n"
        "                     'isBase64Encoded': path == '/v1/classify', 'requestContext': {}}, context)\n"
        "image = sys.stdin.read()\n"
        "for user in '12345678':\n"
        "    send('/v1/classify', image, user)\n"
        "    send('/v1/classify/batch', json.dumps({'items': [{'image': image}, {'image': image[:200]}]}), user)\n"
    )
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "brown").save(buffer, "JPEG")
    variables = {
        "LOUPE_MODEL": "hair-type", "LOUPE_MODELS": "hair-type,hair-type-large", "LOUPE_EXPERIMENT": "size",
        "LOUPE_EXPERIMENT_ARMS": "small=hair-type:1,large=hair-type-large:1", "LOUPE_EXPERIMENT_KEY": "header",
        "LOUPE_EXPERIMENT_HEADER": "x-user-id", "LOUPE_EXPERIMENT_PARAMETER": "/p",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1",
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", code], input=base64.b64encode(buffer.getvalue()).decode(), capture_output=True,
        text=True, check=True, env={**os.environ, **variables}, cwd=ROOT / "function",
    )  # fmt: skip
    by_arm: dict[str, set[str]] = {}
    others = set()
    for line in run.stdout.splitlines():
        record = json.loads(line)
        for directive in record.get("_aws", {}).get("CloudWatchMetrics", []):
            (names,) = directive["Dimensions"]
            emitted = {metric["Name"] for metric in directive["Metrics"]}
            if "Arm" in names:
                by_arm.setdefault(record["Arm"], set()).update(emitted)
            elif names == ["Environment"]:
                others |= emitted
    assert {arm: len(names) for arm, names in by_arm.items()} == {"large": OWN_SERIES, "small": OWN_SERIES} or (
        # Only the first request of the environment is a cold start.
        sorted(len(names) for names in by_arm.values()) == [OWN_SERIES - 1, OWN_SERIES]
    )
    assert others == {"WeightFailures"}


def test_a_request_writes_about_as_many_bytes_as_the_planner_charges(written: list[str]) -> None:
    lines = [line for line in written if '"route":"classify"' in line]
    second = written[written.index(lines[1]) : written.index(lines[1]) + 1]
    second += [line for line in written[written.index(lines[1]) + 1 :] if "_aws" in line][:1]
    # START, END and REPORT are Lambda's own: 54, 52 and 150 bytes and more; CloudWatch charges 26 bytes for each event.
    charged = sum(len(line) + 1 + 26 for line in second) + 3 * 26 + 260
    assert charged == pytest.approx(LAMBDA_LOG_BYTES, rel=0.15)
