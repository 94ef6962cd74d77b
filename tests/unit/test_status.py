"""`make status`: what serves, what is wrong and what waits; a missing permission is one line."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions
from operations_fakes import ARN, CODEDEPLOY, DENIED, FUNCTION, NOW, Scripted, ScriptedAws, stack
from typer.testing import CliRunner

from infra import pins
from tools.operations.stack import read_stack
from tools.operations.target import Target
from tools.status import __main__ as command
from tools.status.items import Item, State
from tools.status.sections import SECTIONS, examine

NO_PINS = Path("/nonexistent")
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def _configuration(**arguments: Any) -> Any:
    version = arguments.get("Qualifier", "$LATEST")
    return {
        "FunctionName": FUNCTION,
        "Version": version,
        "LastModified": f"2026-11-2{version[-1]}T10:00:00.000+0000",
        "State": "Active",
        "Environment": {"Variables": {"LOUPE_MODEL": "hair-type"}},
    }


def _metric_data(**values: list[float]) -> Any:
    def answer(**arguments: Any) -> Any:
        ids = [query["Id"] for query in arguments["MetricDataQueries"]]
        # CloudWatch rejects other ids (PutMetricAlarm and GetMetricData API references).
        assert all(name[0].islower() and name.replace("_", "").isalnum() for name in ids)
        return {"MetricDataResults": [{"Id": name, "Values": values.get(name, [])} for name in ids]}

    return answer


def _alarm(name: str, state: str = "OK", description: str = "", **more: Any) -> dict[str, Any]:
    return {
        "AlarmName": f"{FUNCTION}-{name}",
        "StateValue": state,
        "AlarmDescription": description,
        "StateReason": "Threshold Crossed",
        "StateUpdatedTimestamp": NOW,
        "ActionsEnabled": True,
        **more,
    }


QUIET_ALARMS = {
    "MetricAlarms": [_alarm("FunctionErrorRate"), _alarm("ApiLatencyP99")],
    "CompositeAlarms": [_alarm("Outage")],
}
BUDGET = {
    "BudgetName": "Loupe-prod-Budget",
    "TimeUnit": "MONTHLY",
    "BudgetType": "COST",
    "BudgetLimit": {"Amount": "100", "Unit": "USD"},
    "CalculatedSpend": {
        "ActualSpend": {"Amount": "41.5", "Unit": "USD"},
        "ForecastedSpend": {"Amount": "83", "Unit": "USD"},
    },
}
HEALTHY: dict[str, Scripted] = {
    **stack(),
    "lambda.get_alias": {"FunctionVersion": "8", "Name": "live"},
    "lambda.get_function_configuration": _configuration,
    "lambda.list_provisioned_concurrency_configs": {"ProvisionedConcurrencyConfigs": []},
    "lambda.get_function_concurrency": {"ReservedConcurrentExecutions": 50},
    "cloudwatch.describe_alarms": QUIET_ALARMS,
    "cloudwatch.get_metric_data": _metric_data(
        count=[900.0, 100.0], server=[2.0], client=[30.0], p50=[21.0], p99=[80.0, 300.0], images0=[970.0],
        cold0=[4.0], faults0=[2.0], p50_0=[12.0], p99_0=[90.0], concurrent=[7.0, 3.0], errors=[0.0], throttles=[0.0],
    ),
    "sqs.get_queue_attributes": {
        "Attributes": {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0"}
    },
    "stepfunctions.list_executions": {"executions": []},
    "sts.get_caller_identity": {"Account": "111122223333"},
    "budgets.describe_budget": {"Budget": BUDGET},
}  # fmt: skip


class _Health(BaseHTTPRequestHandler):
    status = 200
    body = json.dumps({"status": "ok", "model": {"name": "hair-type", "version": "1.1.0", "variant": "float16"}})

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/live/v1/health" else 404)
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[type[_Health]]:
    handler = type("Handler", (_Health,), {})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        handler.url = f"http://127.0.0.1:{server.server_port}/live/"  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


def items(endpoint: Any = None, pin_folder: Path = NO_PINS, **answers: Scripted) -> list[Item]:
    aws = ScriptedAws({**HEALTHY, **{name.replace("__", "."): value for name, value in answers.items()}})
    it = Target("prod", aws, url=None if endpoint is None else endpoint.url, pins=pin_folder)
    return examine(it, read_stack(it))


def one(report: list[Item], name: str, state: State | None = None) -> Item:
    (item,) = [item for item in report if item.name == name and state in (None, item.state)]
    return item


def test_a_healthy_deployment_has_nothing_wrong(endpoint: Any) -> None:
    report = items(endpoint)
    assert {item.state for item in report} == {State.ok}
    texts = {item.name: item.text for item in report}
    assert texts["stack"] == "Loupe-prod UPDATE_COMPLETE 3 h ago"
    assert texts["alias"] == "live: version 8 (hair-type of 2026-11-28T10:00Z)"
    assert texts["health"].startswith("serves hair-type 1.1.0 float16; answered in ")
    assert texts["alarms"] == "none of 3 is in alarm"
    assert texts["requests"] == "1,000 at the API: 2 x 5xx (0.2%), 30 x 4xx; p50 21 ms, p99 300 ms"
    assert texts["images"] == "970 for hair-type: 2 faults, 4 cold starts; p50 12 ms, p99 90 ms"
    assert texts["concurrency"].startswith("at most 7 environments in use, a reserve of 50; 0 throttles")
    assert texts["jobs"] == "0 running"
    assert texts["dead letters"] == "none"
    assert texts["cost"] == "US$ 41.50 of 100.00 this month, forecast 83.00"


@pytest.mark.parametrize("name", [name for name in HEALTHY if not name.startswith("cloudformation")])
def test_a_missing_permission_is_one_line_and_the_rest_is_shown(name: str, endpoint: Any) -> None:
    report = items(endpoint, **{name.replace(".", "__"): DENIED})
    assert all(item.state in (State.ok, State.unknown) for item in report)
    if name == "lambda.get_function_configuration":
        # Of the alias's version only the number is left.
        assert one(report, "alias").text == "live: version 8"
    (unknown, *_) = [item for item in report if item.state is State.unknown]
    assert unknown.text.startswith("not permitted: ")
    assert unknown.name in SECTIONS


def test_throttling_is_one_line(endpoint: Any) -> None:
    report = items(endpoint, cloudwatch__get_metric_data=("ThrottlingException", "Rate exceeded", 400))
    assert one(report, "requests").text == "throttled: cloudwatch:GetMetricData; run it again in a minute"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("CREATE_COMPLETE", State.ok),
        ("UPDATE_IN_PROGRESS", State.note),
        ("UPDATE_ROLLBACK_COMPLETE", State.wrong),
        ("UPDATE_ROLLBACK_FAILED", State.wrong),
        ("DELETE_FAILED", State.wrong),
    ],
)
def test_the_state_of_the_stack_is_judged(status: str, state: State, endpoint: Any) -> None:
    report = items(endpoint, **{k.replace(".", "__"): v for k, v in stack(status=status, reason="Because.").items()})
    item = one(report, "stack")
    assert item.state is state
    assert ("describe-stack-events" in item.action) == (state is State.wrong)


def _deploying(status: str, **more: Any) -> dict[str, Scripted]:
    return {
        **{k.replace(".", "__"): v for k, v in stack(*CODEDEPLOY).items()},
        "codedeploy__list_deployment_groups": {"deploymentGroups": ["loupe-prod-group"]},
        "codedeploy__get_deployment_group": {
            "deploymentGroupInfo": {"lastAttemptedDeployment": {"deploymentId": "d-1", "status": status}}
        },
        "codedeploy__get_deployment": {
            "deploymentInfo": {
                "deploymentId": "d-1", "status": status, "createTime": NOW - timedelta(minutes=4),
                "deploymentGroupName": "loupe-prod-group", **more,
            }
        },
    }  # fmt: skip


SHIFTING = {"FunctionVersion": "7", "Name": "live", "RoutingConfig": {"AdditionalVersionWeights": {"8": 0.1}}}


def test_a_shift_shows_weights_of_both_versions(endpoint: Any) -> None:
    report = items(endpoint, lambda__get_alias=SHIFTING, **_deploying("InProgress"))
    alias = one(report, "alias")
    assert alias.state is State.note
    assert alias.text == (
        "live: version 7 (hair-type of 2026-11-27T10:00Z), 10% on version 8 (hair-type of 2026-11-28T10:00Z)"
    )
    assert re.fullmatch(r"d-1 InProgress \d+ min ago", one(report, "deployment").text)


def test_weights_without_a_deployment_are_wrong_and_have_the_repair(endpoint: Any) -> None:
    for answers in ({}, _deploying("Succeeded")):
        alias = one(items(endpoint, lambda__get_alias=SHIFTING, **answers), "alias")
        assert alias.state is State.wrong
        assert alias.action == (
            "aws lambda update-alias --function-name loupe-prod --name live "
            "--routing-config AdditionalVersionWeights={}"
        )


def test_a_failed_deployment_is_wrong_with_its_reason(endpoint: Any) -> None:
    error = {"code": "ALARM_ACTIVE", "message": "One or more alarms have been activated"}
    item = one(items(endpoint, **_deploying("Stopped", errorInformation=error)), "deployment")
    assert (item.state, "alarms have been activated" in item.text) == (State.wrong, True)


def test_a_deployment_that_was_rolled_back_is_wrong_with_the_reason_of_the_first(endpoint: Any) -> None:
    error = {"code": "ALARM_ACTIVE", "message": "One or more alarms have been activated"}
    answers = _deploying("Succeeded", rollbackInfo={"rollbackTriggeringDeploymentId": "d-0"}, errorInformation=error)
    item = one(items(endpoint, **answers), "deployment")
    assert item.state is State.wrong
    assert item.text.startswith("d-0 ")
    assert item.text.endswith("alarms have been activated; rolled back by d-1")


def test_an_alias_away_from_its_pin_is_wrong(endpoint: Any, tmp_path: Path) -> None:
    pins.write_pin(pins.Pin("prod", "5", "8", "2026-11-26T02:00:00Z", "labels are swapped"), tmp_path)
    moved = {"FunctionVersion": "7", "Name": "live"}
    item = one(items(endpoint, pin_folder=tmp_path, lambda__get_alias=moved), "alias")
    assert (item.state, item.action) == (State.wrong, "make rollback ENV=prod VERSION=5")


def test_an_alias_away_from_the_stacks_version_is_wrong_unless_it_is_pinned(endpoint: Any, tmp_path: Path) -> None:
    moved = {"FunctionVersion": "7", "Name": "live"}
    assert one(items(endpoint, pin_folder=tmp_path, lambda__get_alias=moved), "alias").state is State.wrong
    pins.write_pin(pins.Pin("prod", "7", "8", "2026-11-26T02:00:00Z", "labels are swapped"), tmp_path)
    report = items(endpoint, pin_folder=tmp_path, lambda__get_alias=moved)
    assert one(report, "alias").state is State.ok
    assert one(report, "pin").text == (
        "pinned to version 7 (in place of 8) since 2026-11-26T02:00:00Z: labels are swapped"
    )
    pins.pin_file("prod", tmp_path).write_text("{")
    assert one(items(endpoint, pin_folder=tmp_path, lambda__get_alias=moved), "pin").state is State.wrong


def test_alarms_in_alarm_show_severity_and_runbook_pages_first(endpoint: Any) -> None:
    description = "{}: What is wrong. Runbook: docs/runbook.md#{}"
    ringing = {
        "MetricAlarms": [
            _alarm("ApiLatencyP99", "ALARM", description.format("ticket", "apilatencyp99")),
            _alarm("FunctionErrorRate", "ALARM", description.format("page", "functionerrorrate"), ActionsEnabled=False),
        ],
        "CompositeAlarms": [],
    }
    report = [item for item in items(endpoint, cloudwatch__describe_alarms=ringing) if item.name == "alarms"]
    assert [(item.state, item.text, item.action) for item in report[:2]] == [
        (State.wrong, "PAGE FunctionErrorRate: What is wrong.", "docs/runbook.md#functionerrorrate"),
        (State.wrong, "TICKET ApiLatencyP99: What is wrong.", "docs/runbook.md#apilatencyp99"),
    ]
    assert report[2].text == "silenced: loupe-prod-FunctionErrorRate"
    assert report[3].text == "deleted outside the stack: loupe-prod-Outage"


@pytest.mark.parametrize(
    ("status", "state"), [(500, State.wrong), (429, State.wrong), (403, State.unknown), (404, State.wrong)]
)
def test_health_is_judged_by_its_status(status: int, state: State, endpoint: Any) -> None:
    endpoint.status = status
    assert one(items(endpoint), "health").state is state


def test_an_endpoint_that_cannot_be_reached_or_is_another_is_not_known(endpoint: Any) -> None:
    assert one(items(), "health").state is State.unknown
    endpoint.body = "<html>"
    assert one(items(endpoint), "health").state is State.unknown


def test_dead_letters_jobs_and_cost_above_the_budget(endpoint: Any) -> None:
    executions = [
        {
            "executionArn": f"arn:{n}",
            "stateMachineArn": "arn:m",
            "name": f"job-{n}",
            "status": "RUNNING",
            "startDate": NOW,
        }
        for n in range(5)
    ]
    spent = {**BUDGET, "CalculatedSpend": {"ActualSpend": {"Amount": "130", "Unit": "USD"}}}
    report = items(
        endpoint,
        sqs__get_queue_attributes={"Attributes": {"ApproximateNumberOfMessages": "3"}},
        stepfunctions__list_executions={"executions": executions, "nextToken": "x"},
        budgets__describe_budget={"Budget": spent},
    )
    assert one(report, "uploads").text == "3 wait, 0 in work"
    assert (one(report, "dead letters").state, one(report, "dead letters").text) == (State.wrong, "3 in DeadLetters-1")
    assert one(report, "jobs").text == "5 or more running: job-0, job-1, job-2 ..."
    assert (one(report, "cost").state, one(report, "cost").text) == (
        State.wrong,
        "US$ 130.00 of 100.00 this month, no forecast yet",
    )


@pytest.mark.parametrize(("status", "state"), [("READY", "ok"), ("IN_PROGRESS", "note"), ("FAILED", "wrong")])
def test_provisioned_concurrency_is_judged(status: str, state: str, endpoint: Any) -> None:
    config = {
        "FunctionArn": f"{ARN}:live",
        "RequestedProvisionedConcurrentExecutions": 5,
        "AvailableProvisionedConcurrentExecutions": 2,
        "Status": status,
        "StatusReason": "FUNCTION_ERROR_INIT_FAILURE",
    }
    report = items(endpoint, lambda__list_provisioned_concurrency_configs={"ProvisionedConcurrencyConfigs": [config]})
    item = one(report, "provisioned")
    assert (item.state, item.text.startswith("2 of 5 environments of live are ready")) == (state, True)


def test_no_requests_are_a_note(endpoint: Any) -> None:
    report = items(endpoint, cloudwatch__get_metric_data=_metric_data())
    assert one(report, "requests").text == "no requests in the last hour"
    assert not [item for item in report if item.state is State.wrong]


def run(monkeypatch: pytest.MonkeyPatch, endpoint: Any, answers: dict[str, Scripted], *options: str) -> Any:
    aws = ScriptedAws({**HEALTHY, **answers})
    monkeypatch.setattr(command, "connect", lambda *_, **__: Target("prod", aws, url=endpoint.url, pins=NO_PINS))
    return CliRunner().invoke(command.app, ["--env", "prod", *options])


def test_the_exit_code_is_1_where_something_is_wrong(monkeypatch: pytest.MonkeyPatch, endpoint: Any) -> None:
    healthy = run(monkeypatch, endpoint, {})
    assert (healthy.exit_code, healthy.stdout.splitlines()[-1]) == (0, "Nothing is wrong.")
    unhealthy = run(monkeypatch, endpoint, {"lambda.get_alias": SHIFTING})
    assert (unhealthy.exit_code, unhealthy.stdout.splitlines()[-1]) == (1, "1 thing is wrong.")
    partly = run(monkeypatch, endpoint, {"budgets.describe_budget": DENIED})
    assert (partly.exit_code, partly.stdout.splitlines()[-1]) == (0, "Nothing is wrong; 1 not known.")


def test_json_has_every_item_and_the_verdict(monkeypatch: pytest.MonkeyPatch, endpoint: Any) -> None:
    report = json.loads(run(monkeypatch, endpoint, {}, "--json").stdout)
    assert (report["environment"], report["healthy"]) == ("prod", True)
    assert {"stack", "alias", "alarms", "requests"} <= {item["name"] for item in report["items"]}


def test_a_stack_that_is_not_there_is_wrong(monkeypatch: pytest.MonkeyPatch, endpoint: Any) -> None:
    missing: Scripted = ("ValidationError", "Stack with id Loupe-prod does not exist", 400)
    result = run(monkeypatch, endpoint, {"cloudformation.describe_stacks": missing})
    assert (result.exit_code, "make deploy ENV=prod" in result.stdout) == (1, True)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (exceptions.NoCredentialsError(), "There are no usable AWS credentials"),
        (("ExpiredToken", "expired", 403), "The AWS credentials have expired"),
        (DENIED, "not permitted: cloudformation:DescribeStacks"),
        (("ValidationError", "1 validation error detected", 400), "DescribeStacks failed: 1 validation error detected"),
    ],
)
def test_without_credentials_the_exit_code_is_2(
    monkeypatch: pytest.MonkeyPatch, endpoint: Any, failure: Any, sentence: str
) -> None:
    result = run(monkeypatch, endpoint, {"cloudformation.describe_stacks": failure})
    assert (result.exit_code, sentence in result.stderr, result.stdout) == (2, True, "")


def test_credentials_that_expire_midway_end_the_command(monkeypatch: pytest.MonkeyPatch, endpoint: Any) -> None:
    result = run(monkeypatch, endpoint, {"cloudwatch.describe_alarms": ("ExpiredToken", "expired", 403)})
    assert (result.exit_code, "have expired" in result.stderr) == (2, True)
