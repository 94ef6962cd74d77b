"""The state machine of a bulk job: what it reads, how it batches, what it repeats and how it ends."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from infra.components.bulk_definition import MAX_BATCH_BYTES, definition
from infra.settings.bulk import BulkSettings
from localcloud.stepfunctions.definition import problem
from localcloud.stepfunctions.retries import delay_seconds

SETTINGS = BulkSettings(enabled=True, batch_items=20, timeout_seconds=120)
READERS = {
    "JsonLines": {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket.$": "$.job.source.bucket", "Key.$": "$.job.source.key"},
    },
    "Csv": {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
        "Parameters": {"Bucket.$": "$.job.source.bucket", "Key.$": "$.job.source.key"},
    },
    "Prefix": {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket.$": "$.job.source.bucket", "Prefix.$": "$.job.source.prefix"},
    },
}
MAPS = tuple(READERS)
# Another attempt can pass these. Nothing else is repeated: neither States.ALL nor States.TaskFailed is listed.
THROTTLED = {"Lambda.TooManyRequestsException"}
FAULTS = {
    "Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.Unknown",
    "States.Timeout", "Sandbox.Timedout", "Runtime.ExitError", "Runtime.OutOfMemory", "BatchUnfinished",
    "Lambda.ClientExecutionTimeoutException",
}  # fmt: skip
# What an inactive function answers until it is active again.
INACTIVE = {
    "Lambda.ResourceNotReadyException", "Lambda.ResourceConflictException", "Lambda.CodeArtifactUserPendingException",
}  # fmt: skip


@pytest.fixture(scope="module")
def machine() -> dict[str, Any]:
    return definition(
        settings=SETTINGS, partition="aws", results_bucket="results", jobs_function="arn:jobs:live", summary_seconds=300
    )


def child(machine: dict[str, Any], name: str) -> dict[str, Any]:
    (task,) = machine["States"][name]["ItemProcessor"]["States"].values()
    return dict(task)


def retried(task: dict[str, Any]) -> list[set[str]]:
    return [set(rule["ErrorEquals"]) for rule in task["Retry"]]


def test_the_definition_passes_the_validation_of_create_state_machine(machine: dict[str, Any]) -> None:
    assert problem(json.dumps(machine)) is None


def test_the_type_of_the_source_selects_the_reader(machine: dict[str, Any]) -> None:
    source = machine["States"][machine["StartAt"]]
    assert {choice["StringEquals"]: choice["Next"] for choice in source["Choices"]} == {
        "jsonl": "JsonLines", "csv": "Csv", "prefix": "Prefix",
    }  # fmt: skip
    assert {choice["Variable"] for choice in source["Choices"]} == {"$.job.source.type"}
    assert machine["States"][source["Default"]]["Type"] == "Fail"


@pytest.mark.parametrize("name", MAPS)
def test_every_map_reads_selects_and_batches(machine: dict[str, Any], name: str) -> None:
    state = machine["States"][name]
    assert state["ItemReader"] == READERS[name]
    assert state["ItemSelector"] == {"index.$": "$$.Map.Item.Index", "item.$": "$$.Map.Item.Value"}
    assert state["ItemBatcher"] == {
        "MaxItemsPerBatch": 20,
        "MaxInputBytesPerBatch": MAX_BATCH_BYTES,
        "BatchInput": {"job.$": "$.job"},
    }
    assert MAX_BATCH_BYTES < 256 * 1024
    assert state["MaxConcurrencyPath"] == "$.job.max_concurrency"
    assert state["Label"] == name


@pytest.mark.parametrize("name", MAPS)
def test_children_are_redrivable_and_results_do_not_repeat_their_inputs(machine: dict[str, Any], name: str) -> None:
    state = machine["States"][name]
    assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    writer = state["ResultWriter"]
    assert writer["Resource"] == "arn:aws:states:::s3:putObject"
    assert writer["WriterConfig"] == {"Transformation": "COMPACT", "OutputType": "JSONL"}
    assert writer["Parameters"] == {
        "Bucket": "results",
        "Prefix.$": "States.Format('jobs/{}/map', $$.Execution.Name)",
    }


@pytest.mark.parametrize("name", MAPS)
def test_one_failed_batch_fails_the_map_run_which_can_be_redriven(machine: dict[str, Any], name: str) -> None:
    """A tolerance would drop rows, and an execution whose map was caught has nothing to redrive."""
    state = machine["States"][name]
    assert not [key for key in state if key.startswith("Tolerated")]
    assert "Catch" not in state
    assert "Catch" not in child(machine, name)
    assert (state["ResultPath"], state["Next"]) == ("$.map", "Summarize")


@pytest.mark.parametrize("name", MAPS)
def test_a_batch_runs_on_the_version_that_its_job_started_with(machine: dict[str, Any], name: str) -> None:
    task = child(machine, name)
    assert task["Resource"] == "arn:aws:states:::lambda:invoke"
    assert task["Parameters"] == {"FunctionName.$": "$.BatchInput.job.function", "Payload.$": "$"}
    assert task["OutputPath"] == "$.Payload"
    # The function's own timeout ends a batch, as one that writes what it has.
    assert task["TimeoutSeconds"] > SETTINGS.timeout_seconds


@pytest.mark.parametrize("name", MAPS)
def test_batches_repeat_what_another_attempt_can_pass(machine: dict[str, Any], name: str) -> None:
    assert retried(child(machine, name)) == [THROTTLED, INACTIVE, FAULTS]


def test_a_summary_is_also_repeated_while_s3_throttles_it(machine: dict[str, Any]) -> None:
    summarize = machine["States"]["Summarize"]
    assert retried(summarize) == [THROTTLED, INACTIVE, {*FAULTS, "JobsUnavailable"}]
    assert summarize["Parameters"]["FunctionName"] == "arn:jobs:live"
    assert summarize["Parameters"]["Payload"] == {
        "action": "summarize", "job.$": "$.job", "map.$": "$.map", "started.$": "$$.Execution.StartTime",
    }  # fmt: skip
    assert summarize["TimeoutSeconds"] > 300


def rules_of(machine: dict[str, Any], task: str) -> list[dict[str, Any]]:
    state = machine["States"][task] if task == "Summarize" else child(machine, task)
    return list(state["Retry"])


@pytest.mark.parametrize("task", [*MAPS, "Summarize"])
def test_retries_back_off_with_full_jitter(machine: dict[str, Any], task: str) -> None:
    throttled, _, faults = rules_of(machine, task)
    for rule in (throttled, faults):
        assert rule["JitterStrategy"] == "FULL"
        assert rule["BackoffRate"] > 1
        assert rule["MaxDelaySeconds"] <= 60
    # Throttling lasts as long as other jobs use the concurrency; a fault that stays must end the batch.
    assert throttled["MaxAttempts"] > faults["MaxAttempts"] > 1


@pytest.mark.parametrize("task", [*MAPS, "Summarize"])
def test_retries_wait_for_an_inactive_function_for_minutes(machine: dict[str, Any], task: str) -> None:
    """Full jitter could use up all attempts within seconds."""
    _, inactive, _ = rules_of(machine, task)
    generator = random.Random(1)
    delays = [delay_seconds(inactive, attempt, generator) for attempt in range(inactive["MaxAttempts"])]
    assert delays[0] <= 5
    assert 300 <= sum(delays) <= 900


def test_too_many_failed_images_fail_the_job_after_its_summary(machine: dict[str, Any]) -> None:
    states = machine["States"]
    tolerance = states[states["Summarize"]["Next"]]
    (choice,) = tolerance["Choices"]
    assert (choice["Variable"], choice["StringEquals"]) == ("$.summary.status", "too_many_failed")
    assert (states[choice["Next"]]["Type"], states[choice["Next"]]["Error"]) == ("Fail", "TooManyFailedImages")
    assert states[tolerance["Default"]]["Type"] == "Succeed"
