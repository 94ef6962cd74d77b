"""Names, inputs, redrive and definitions that Step Functions rejects: `docs/step-functions.md` names the sentences."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from state_machines import Gate, Machines, lines, mapped

from localcloud.ministack.step_functions import task_error
from localcloud.stepfunctions.definition import problem
from localcloud.stepfunctions.redrive import name_is_free, redrive_status

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    machines = Machines(monkeypatch)
    machines.store.objects["data/in.jsonl"] = lines({"key": "a"})
    return machines


def test_the_same_name_and_input_is_the_same_execution_while_it_runs(machines: Machines) -> None:
    gate = Gate(machines.changes)
    machines.call = gate
    machine = machines.create(mapped())
    arn = machines.start(machine, {"job": 1}, "name")
    request = {"stateMachineArn": machine, "name": "name"}
    assert machines.start(machine, {"job": 1}, "name") == arn
    status, answer = machines.request("_start_execution", input='{"job": 2}', **request)
    assert (status, answer["__type"]) == (400, "ExecutionAlreadyExists")
    gate.open()
    machines.wait(arn)
    status, answer = machines.request("_start_execution", input='{"job": 1}', **request)
    assert (status, answer["__type"]) == (400, "ExecutionAlreadyExists")


@pytest.mark.parametrize(("days", "free"), [(0, False), (90, False), (91, True)])
def test_a_name_is_free_90_days_after_its_execution_closed(days: int, *, free: bool) -> None:
    stopped = (NOW - timedelta(days=days)).isoformat()
    assert name_is_free({"stopDate": stopped}, NOW) is free


def test_a_running_execution_keeps_its_name() -> None:
    assert not name_is_free({"stopDate": None}, NOW)


@pytest.mark.parametrize("name", ["", "x" * 81, "a b", "a/b", "a:b", "a*", "a#b", "a\u0080b"])
def test_a_name_that_aws_forbids_is_rejected(machines: Machines, name: str) -> None:
    machine = machines.create(mapped())
    status, answer = machines.request("_start_execution", stateMachineArn=machine, name=name, input="{}")
    assert (status, answer["__type"]) == (400, "InvalidName")


@pytest.mark.parametrize("text", ["{", '"' + "ä" * 131_072 + '"'])
def test_an_input_that_is_no_json_or_too_long_is_rejected(machines: Machines, text: str) -> None:
    machine = machines.create(mapped())
    status, answer = machines.request("_start_execution", stateMachineArn=machine, input=text)
    assert (status, answer["__type"]) == (400, "InvalidExecutionInput")


@pytest.mark.parametrize(
    ("status", "days", "events", "expected"),
    [
        ("FAILED", 14, 0, "REDRIVABLE"),
        ("ABORTED", 0, 24_998, "REDRIVABLE"),
        ("TIMED_OUT", 0, 0, "REDRIVABLE"),
        ("FAILED", 15, 0, "Execution redrivable period exceeded."),
        ("FAILED", 0, 24_999, "Execution history event limit exceeded."),
        ("SUCCEEDED", 0, 0, "Execution is SUCCEEDED and cannot be redriven."),
        ("RUNNING", 0, 0, "Execution is RUNNING and cannot be redriven."),
    ],
)
def test_only_unsuccessful_executions_of_14_days_are_redrivable(
    status: str, days: int, events: int, expected: str
) -> None:
    execution = {"status": status, "stopDate": (NOW - timedelta(days=days)).isoformat(), "events": [None] * events}
    assert expected in redrive_status(execution, NOW)


def test_redriving_a_success_is_rejected(machines: Machines) -> None:
    execution = machines.run(machines.create(mapped()), {"job": 1})
    status, answer = machines.request("redrive", executionArn=execution["executionArn"])
    assert (status, answer["__type"]) == (400, "ExecutionNotRedrivable")
    status, answer = machines.request("redrive", executionArn="arn:aws:states:us-east-1:0:execution:m:none")
    assert answer["__type"] == "ExecutionDoesNotExist"


def test_a_redrive_keeps_the_definition_and_repeats_no_state_that_ended(machines: Machines) -> None:
    definition = mapped(MaxConcurrency=1, Next="Last", End=None)
    definition["States"]["Last"] = {"Type": "Fail", "Error": "Last", "Cause": "always"}
    machine = machines.create(definition)
    arn = machines.start(machine, {"job": 1})
    assert machines.wait(arn)["error"] == "Last"
    machines.request("_update_state_machine", stateMachineArn=machine, definition=mapped())
    machines.calls.clear()
    token = {"clientToken": "t"}
    first = machines.request("redrive", executionArn=arn, **token)
    assert first == machines.request("redrive", executionArn=arn, **token)
    execution = machines.wait(arn)
    assert (execution["error"], execution["redriveCount"], machines.calls) == ("Last", 1, [])


def test_an_execution_ends_at_its_timeout_and_takes_its_children_with_it(machines: Machines) -> None:
    gate = Gate(machines.changes)
    machines.call = gate
    arn = machines.start(machines.create({**mapped(), "TimeoutSeconds": 0.3}), {"job": 1})
    assert machines.wait(arn)["status"] == "TIMED_OUT"
    machines.until(lambda: machines.map_run(arn)["status"] == "ABORTED")
    gate.open()


def test_a_listing_has_100_executions_by_default_and_names_one_parent(machines: Machines) -> None:
    machine = machines.create({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
    arns = [machines.start(machine, {}) for _ in range(101)]
    machines.wait(arns[-1])
    status, page = machines.request("_list_executions", stateMachineArn=machine)
    assert (status, len(page["executions"])) == (200, 100)
    rest = machines.request("_list_executions", stateMachineArn=machine, nextToken=page["nextToken"])[1]
    assert len(rest["executions"]) == 1
    for data in ({}, {"stateMachineArn": machine, "mapRunArn": "x"}, {"stateMachineArn": machine, "maxResults": 1001}):
        assert machines.request("_list_executions", **data)[1]["__type"] == "ValidationException"
    data = {"stateMachineArn": machine, "statusFilter": "PENDING_REDRIVE"}
    assert machines.request("_list_executions", **data)[1]["__type"] == "ValidationException"


READER = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "k"}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"Label": "x" * 41}, "Label"),
        ({"Label": "a b"}, "Label"),
        ({"MaxConcurrency": 1, "MaxConcurrencyPath": "$.n"}, "Only one of MaxConcurrency"),
        ({"ItemBatcher": {"BatchInput": {}}}, "is required"),
        ({"ItemBatcher": {"MaxItemsPerBatch": 0}}, "positive integer"),
        ({"ItemBatcher": {"MaxInputBytesPerBatch": 262_145}}, "at most 262144"),
        ({"ItemReader": {**READER, "Resource": "arn:aws:states:::s3:headObject"}}, "Resource"),
        ({"ItemReader": {**READER, "ReaderConfig": {"InputType": "XML"}}}, "InputType"),
        ({"ItemReader": {**READER, "ReaderConfig": {"InputType": "CSV"}}}, "CSVHeaderLocation"),
        (
            {"ItemReader": {**READER, "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "GIVEN"}}},
            "CSVHeaderLocation",
        ),
        ({"ResultWriter": {"Resource": "arn:aws:states:::s3:copyObject"}}, "Resource"),
        ({"Retry": [{"ErrorEquals": ["A"], "BackoffRate": 0.5}]}, "BackoffRate"),
        ({"Retry": [{"ErrorEquals": ["A"], "IntervalSeconds": 5, "MaxDelaySeconds": 5}]}, "MaxDelaySeconds"),
        ({"Retry": [{"ErrorEquals": ["A"], "JitterStrategy": "SOME"}]}, "JitterStrategy"),
        ({"Retry": [{"ErrorEquals": ["States.ALL", "A"]}]}, "States.ALL"),
        ({"Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}]}, "States.ALL"),
        ({"Next": "Nowhere", "End": None}, "Nowhere"),
        ({"End": None}, "One of"),
    ],
)
def test_a_definition_that_aws_rejects_is_rejected(machines: Machines, fields: dict[str, Any], expected: str) -> None:
    status, answer = machines.request("_create_state_machine", name="m", definition=mapped(**fields))
    assert (status, answer["__type"]) == (400, "InvalidDefinition")
    assert expected in answer["message"]


def test_labels_are_unique_in_a_state_machine() -> None:
    definition = mapped(Next="Other", End=None)
    definition["States"]["Other"] = mapped()["States"]["Map"]
    assert "not unique" in (problem(json.dumps(definition)) or "")
    definition["States"]["Other"]["Label"] = "Others"
    assert problem(json.dumps(definition)) is None


def test_templates_are_checked_like_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    Machines(monkeypatch)
    import ministack.services.cloudformation.provisioners as provisioners

    definition = json.dumps(mapped(Label="x" * 41))
    with pytest.raises(ValueError, match="Label"):
        provisioners._sfn_definition({"DefinitionString": definition})
    valid = json.dumps(mapped())
    assert provisioners._sfn_definition({"DefinitionString": valid}) == valid


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"throttle": True, "body": {"message": "Rate Exceeded."}}, "Lambda.TooManyRequestsException"),
        ({"http_status": 413, "body": {"message": "large"}}, "Lambda.RequestTooLargeException"),
        ({"http_status": 500, "body": {"__type": "ServiceException"}}, "Lambda.ServiceException"),
        ({"body": {"errorType": "ServiceException"}}, "Lambda.ServiceException"),
        ({"body": {"errorType": "BatchUnfinished"}}, "BatchUnfinished"),
        ({"body": "text"}, "Lambda.Unknown"),
    ],
)
def test_failed_invocations_have_the_names_of_the_lambda_integration(result: dict[str, Any], error: str) -> None:
    assert task_error({"error": True, **result})[0] == error
