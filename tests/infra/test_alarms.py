"""Each alarm watches a metric that is really published, with dimensions under which it is published.

What AWS publishes is written down from its documentation; what the function publishes is what it emits when it runs.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from typing import Any

import pytest
from loupe.errors import all_problems
from loupe.release.log import ReleaseLog
from PIL import Image

from infra.components import metrics
from localcloud.alarms import MetricStat, evaluate
from tests.infra.synthesis import Synthesized

# Lambda developer guide, 'Types of metrics for Lambda functions' and 'Viewing metrics': by function, and by alias.
_LAMBDA = ("Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions")
# API Gateway developer guide, 'Amazon API Gateway dimensions and metrics' (REST APIs).
_API = ("4XXError", "5XXError", "Count", "IntegrationLatency", "Latency")
_QUEUE = ("ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible")
PUBLISHED = {
    # ExecutedVersion: of invocations by alias.
    **{
        ("AWS/Lambda", name): (
            {"FunctionName"},
            {"FunctionName", "Resource"},
            {"FunctionName", "Resource", "ExecutedVersion"},
        )
        for name in _LAMBDA
    },
    **{("AWS/ApiGateway", name): ({"ApiName"}, {"ApiName", "Stage"}) for name in _API},
    # WAF developer guide, 'AWS WAF metrics and dimensions'.
    ("AWS/WAFV2", "BlockedRequests"): ({"WebACL", "Region", "Rule"},),
    # Step Functions developer guide, 'Monitoring Step Functions metrics using Amazon CloudWatch'.
    ("AWS/States", "ExecutionsFailed"): ({"StateMachineArn"},),
    # SQS developer guide, 'Available CloudWatch metrics for Amazon SQS'.
    **{("AWS/SQS", name): ({"QueueName"},) for name in _QUEUE},
}


def _metrics_of(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "MetricName" in alarm:
        yield alarm
    for entry in alarm.get("Metrics", []):
        if "MetricStat" in entry:
            yield entry["MetricStat"]["Metric"]


def _dimensions(metric: dict[str, Any]) -> dict[str, Any]:
    return {dimension["Name"]: dimension["Value"] for dimension in metric.get("Dimensions", [])}


@pytest.fixture(scope="module")
def emitted() -> set[tuple[str, frozenset[str]]]:
    """Name and dimension names of each metric that the function writes for a good image and for a broken one."""
    variables = {"LOUPE_ENVIRONMENT": "prod", "LOUPE_MODEL": "hair-type", "LOUPE_METRICS_BY_RELEASE": "true"}
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "brown").save(buffer, "JPEG")
    images = [base64.b64encode(data).decode() for data in (buffer.getvalue(), buffer.getvalue()[:200])]
    code = (
        "import json, sys, types, handler\n"
        "for line in sys.stdin:\n"
        "    context = types.SimpleNamespace(aws_request_id='r', get_remaining_time_in_millis=lambda: 9000)\n"
        "    handler.handler({'image': line.strip()}, context)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input="\n".join(images), capture_output=True, text=True, check=True,
        env={**os.environ, **variables},
    )  # fmt: skip
    emitted_metrics = set()
    # The function of synthetic traffic.
    synthetic = StringIO()
    with redirect_stdout(synthetic):
        ReleaseLog("prod", "7").synthetic(7, 1)
    for line in [*run.stdout.splitlines(), *synthetic.getvalue().splitlines()]:
        record = json.loads(line)
        for directive in record.get("_aws", {}).get("CloudWatchMetrics", []):
            assert directive["Namespace"] == metrics.NAMESPACE
            for names in directive["Dimensions"]:
                emitted_metrics |= {(metric["Name"], frozenset(names)) for metric in directive["Metrics"]}
    return emitted_metrics


def test_every_alarm_watches_a_published_metric(synthesized: Synthesized, emitted) -> None:
    watched = 0
    for alarm in synthesized.resources("AWS::CloudWatch::Alarm").values():
        for metric in _metrics_of(alarm["Properties"]):
            watched += 1
            names = set(_dimensions(metric))
            if metric["Namespace"] == metrics.NAMESPACE:
                assert (metric["MetricName"], frozenset(names)) in emitted
            else:
                assert names in PUBLISHED[(metric["Namespace"], metric["MetricName"])], metric
    assert watched >= 9


def test_alarms_watch_only_codes_that_the_function_returns(prod: Synthesized) -> None:
    codes = {
        _dimensions(metric)["Code"]
        for alarm in prod.resources("AWS::CloudWatch::Alarm").values()
        for metric in _metrics_of(alarm["Properties"])
        if "Code" in _dimensions(metric)
    }
    assert codes == {"image_undecodable", "unsupported_media_type"}
    assert codes <= {problem.code for problem in all_problems()}
    # And each is what the alarm's description names.
    (alarm,) = [
        resource["Properties"]
        for resource in prod.resources("AWS::CloudWatch::Alarm").values()
        if resource["Properties"]["AlarmName"] == "loupe-prod-UndecodableImageRate"
    ]
    assert all(code in alarm["AlarmDescription"] for code in codes)


@pytest.mark.parametrize(
    ("faults", "requests", "state"),
    [
        (0, 100, "OK"),
        (1, 100, "OK"),
        (2, 100, "ALARM"),
        (1, None, "ALARM"),  # of a route that counts no requests
        (5, 1, "ALARM"),
        (None, 100, "OK"),
        (None, None, "OK"),
        (0, 0, "OK"),
    ],
)
def test_the_server_fault_alarm_fires_at_its_share_of_requests(
    prod: Synthesized, faults: float | None, requests: float | None, state: str
) -> None:
    assert _state(prod, "ServerFaultRate", {"ServerFaults": faults, "Requests": requests}) == state


@pytest.mark.parametrize(
    ("undecodable", "unsupported", "state"),
    [(None, None, "OK"), (24, None, "OK"), (25, None, "ALARM"), (None, 25, "ALARM"), (13, 12, "ALARM"), (12, 12, "OK")],
)
def test_the_image_alarm_fires_for_damaged_images_and_non_images(
    prod: Synthesized, undecodable: float | None, unsupported: float | None, state: str
) -> None:
    values = {"image_undecodable": undecodable, "unsupported_media_type": unsupported, "Requests": 100.0}
    assert _state(prod, "UndecodableImageRate", values) == state


@pytest.mark.parametrize(
    ("cold", "requests", "state"),
    [(None, None, "OK"), (None, 100, "OK"), (9, 9, "OK"), (10, 101, "OK"), (10, 100, "ALARM"), (50, 60, "ALARM")],
)
def test_cold_starts_alarm_by_share_and_not_for_a_few(
    prod: Synthesized, cold: float | None, requests: float | None, state: str
) -> None:
    assert _state(prod, "ColdStartRate", {"ColdStart": cold, "Requests": requests}) == state


def _state(environment: Synthesized, name: str, values: dict[str, float | None]) -> str:
    """The state of a synthesized alarm whose metrics have these values in every period, by name or code."""
    (alarm,) = [
        resource["Properties"]
        for resource in environment.resources("AWS::CloudWatch::Alarm").values()
        if resource["Properties"]["AlarmName"] == f"loupe-{environment.name}-{name}"
    ]

    def read(metric: MetricStat, periods: int) -> list[float | None]:
        code = dict(metric.dimensions).get("Code", metric.name)
        return [values[code]] * periods

    return evaluate({**alarm, "StateValue": "OK"}, read)[0]


def test_dimension_values_are_those_of_the_deployed_resources(synthesized: Synthesized) -> None:
    functions = synthesized.resources("AWS::Lambda::Function")
    api_name = synthesized.only("AWS::ApiGateway::RestApi")["Name"]
    variables = synthesized.only("AWS::Lambda::Function")["Environment"]["Variables"]
    for alarm in synthesized.resources("AWS::CloudWatch::Alarm").values():
        for metric in _metrics_of(alarm["Properties"]):
            values = _dimensions(metric)
            if metric["Namespace"] == "AWS/Lambda":
                name = values["FunctionName"]
                if "ExecutedVersion" in values:
                    assert values["ExecutedVersion"]["Fn::GetAtt"][1] == "Version"
                    assert values["Resource"] == {"Fn::Join": ["", [name, ":live"]]}
                assert name == f"loupe-{synthesized.name}" or name["Ref"] in functions
            elif metric["Namespace"] == "AWS/ApiGateway":
                assert values["ApiName"] == api_name
                stage = values.get("Stage")
                assert stage is None or stage == "live" or "Ref" in stage
            elif metric["Namespace"] == "AWS/WAFV2":
                acl = synthesized.only("AWS::WAFv2::WebACL")
                assert values["WebACL"] == acl["VisibilityConfig"]["MetricName"] == acl["Name"]
                assert (values["Region"], values["Rule"]) == ({"Ref": "AWS::Region"}, "ALL")
            elif metric["Namespace"] == "AWS/States":
                assert values["StateMachineArn"]["Ref"] in synthesized.resources("AWS::StepFunctions::StateMachine")
            elif metric["Namespace"] == "AWS/SQS":
                name, attribute = values["QueueName"]["Fn::GetAtt"]
                assert (name in synthesized.resources("AWS::SQS::Queue"), attribute) == (True, "QueueName")
            else:
                assert values["Environment"] == variables["LOUPE_ENVIRONMENT"]
                if "FunctionVersion" in values:
                    assert values["FunctionVersion"]["Fn::GetAtt"][1] == "Version"
                else:
                    assert values["Model"] == variables["LOUPE_MODEL"]


def test_the_dashboard_names_only_emitted_metrics(emitted) -> None:
    names = {name for name, _ in emitted}
    assert {metrics.REQUESTS, metrics.PROBLEMS, metrics.PREDICTIONS, metrics.CONFIDENCE, metrics.COLD_STARTS,
            metrics.SERVER_FAULTS} <= names  # fmt: skip
    assert set(metrics.STAGE_LATENCIES) <= names
