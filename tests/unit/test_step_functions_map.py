"""A Distributed Map runs as AWS documents it: `docs/step-functions.md` names the sentence that each test follows."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from state_machines import FakeStore, Gate, Machines, lines, mapped

from localcloud.stepfunctions.limits import StatesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    machines = Machines(monkeypatch)
    machines.store.objects["data/in.jsonl"] = lines(*({"key": f"{number}.jpg"} for number in range(5)))
    return machines


def manifest_of(execution: Mapping[str, Any], store: FakeStore) -> Any:
    details = json.loads(execution["output"])["ResultWriterDetails"]
    return store.json(f"{details['Bucket']}/{details['Key']}")


def test_items_are_selected_batched_and_merged_with_batch_input(machines: Machines) -> None:
    execution = machines.run(machines.create(mapped()), {"job": {"id": "j"}})
    assert execution["status"] == "SUCCEEDED"
    assert sorted(machines.calls, key=lambda call: call["Items"][0]["index"]) == [
        {"BatchInput": {"job": {"id": "j"}}, "Items": [{"index": n, "item": {"key": f"{n}.jpg"}} for n in batch]}
        for batch in ((0, 1), (2, 3), (4,))
    ]


def test_result_writer_exports_successes_with_their_input_and_output_as_strings(machines: Machines) -> None:
    execution = machines.run(machines.create(mapped()), {"job": 1})
    output = json.loads(execution["output"])
    assert set(output) == {"MapRunArn", "ResultWriterDetails"}
    run = output["MapRunArn"].rpartition(":")[2]
    assert output["ResultWriterDetails"] == {"Bucket": "out", "Key": f"map/{run}/manifest.json"}
    manifest = manifest_of(execution, machines.store)
    key = f"map/{run}/SUCCEEDED_0.json"
    size = len(machines.store.objects[f"out/{key}"])
    assert manifest == {
        "DestinationBucket": "out",
        "MapRunArn": output["MapRunArn"],
        "ResultFiles": {"FAILED": [], "PENDING": [], "SUCCEEDED": [{"Key": key, "Size": size}]},
    }
    entries = machines.store.json(f"out/{key}")
    assert len(entries) == 3
    assert sum(json.loads(entry["Output"])["items"] for entry in entries) == 5
    assert {entry["Status"] for entry in entries} == {"SUCCEEDED"}
    assert all(len(json.loads(entry["Input"])["Items"]) in (1, 2) for entry in entries)


def test_result_writer_exports_compact_outputs_as_json_lines(machines: Machines) -> None:
    writer = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": "out", "Prefix": "map"},
        "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
    }
    execution = machines.run(machines.create(mapped(ResultWriter=writer)), {"job": 1})
    (file,) = manifest_of(execution, machines.store)["ResultFiles"]["SUCCEEDED"]
    content = machines.store.objects[f"out/{file['Key']}"]
    assert sorted(json.loads(line)["items"] for line in content.splitlines()) == [1, 2, 2]
    assert len(content) == file["Size"]
    # A child that failed is written as it is, whatever the transformation.
    machines.call = lambda payload: (_ for _ in ()).throw(StatesError("BrokenError", "no"))
    arn = machines.start(machines.create(mapped(ResultWriter=writer)), {"job": 1})
    machines.wait(arn)
    written = [name for name in machines.store.objects if "/FAILED_0" in name]
    first = json.loads(machines.store.objects[written[0]].splitlines()[0])
    assert {"ExecutionArn", "Error", "Status"} <= first.keys()


def test_counts_of_a_finished_run_are_by_item_and_by_execution(machines: Machines) -> None:
    arn = machines.start(machines.create(mapped()), {"job": 1})
    machines.wait(arn)
    run = machines.map_run(arn)
    assert run["status"] == "SUCCEEDED"
    assert run["itemCounts"] == {
        **dict.fromkeys(run["itemCounts"], 0), "total": 5, "succeeded": 5, "resultsWritten": 5,
    }  # fmt: skip
    assert run["executionCounts"] == {
        **dict.fromkeys(run["executionCounts"], 0), "total": 3, "succeeded": 3, "resultsWritten": 3,
    }  # fmt: skip


def test_a_failed_child_fails_the_run_and_aborts_the_others(machines: Machines) -> None:
    gate = Gate(machines.changes)

    def call(payload: Any) -> Any:
        if payload["Items"][0]["index"] == 2:
            machines.until(lambda: gate.entered == 1)
            raise StatesError("BrokenError", "no")
        return gate(payload)

    machines.call = call
    arn = machines.start(machines.create(mapped(MaxConcurrency=2)), {"job": 1})
    execution = machines.wait(arn)
    assert (execution["status"], execution["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert "output" not in execution
    run = machines.map_run(arn)
    counts = {name: count for name, count in run["executionCounts"].items() if count}
    assert run["status"] == "FAILED"
    assert counts == {"failed": 1, "aborted": 1, "pending": 1, "total": 3, "resultsWritten": 2}
    names = [name for name in machines.store.objects if name.startswith("out/")]
    kinds = {name.rpartition("/")[2]: name for name in names}
    assert kinds.keys() == {"manifest.json", "FAILED_0.json", "PENDING_0.json"}
    assert sorted(entry["Status"] for entry in machines.store.json(kinds["FAILED_0.json"])) == ["ABORTED", "FAILED"]
    assert [entry["Status"] for entry in machines.store.json(kinds["PENDING_0.json"])] == ["PENDING"]
    gate.open()


@pytest.mark.parametrize(
    ("tolerance", "status"),
    [
        ({"ToleratedFailureCount": 1}, "SUCCEEDED"),
        ({"ToleratedFailureCount": 0}, "FAILED"),
        ({"ToleratedFailurePercentage": 33}, "FAILED"),
        ({"ToleratedFailurePercentage": 34}, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 100, "ToleratedFailureCount": 0}, "FAILED"),
    ],
)
def test_tolerated_failures_are_counted_in_children(machines: Machines, tolerance: dict[str, int], status: str) -> None:
    def call(payload: Any) -> Any:
        if payload["Items"][0]["index"] == 4:
            raise StatesError("BrokenError", "no")
        return {}

    machines.call = call
    assert machines.run(machines.create(mapped(**tolerance)), {"job": 1})["status"] == status


def test_a_passing_error_is_retried_and_another_is_not(machines: Machines) -> None:
    retry = [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 0, "MaxAttempts": 2}]
    attempts: dict[int, int] = {}

    def call(payload: Any) -> Any:
        index = payload["Items"][0]["index"]
        attempts[index] = attempts.get(index, 0) + 1
        if index == 0 and attempts[index] < 3:
            raise StatesError("Lambda.TooManyRequestsException", "Rate Exceeded")
        if index == 4:
            raise StatesError("ValueError", "no")
        return {}

    machines.call = call
    machine = machines.create(mapped(Retry=retry, ToleratedFailureCount=1))
    assert machines.run(machine, {"job": 1})["status"] == "SUCCEEDED"
    assert attempts == {0: 3, 2: 1, 4: 1}


def test_concurrency_by_path_bounds_children_that_run_at_once(machines: Machines) -> None:
    gate = Gate(machines.changes)
    machines.call = gate
    fields: dict[str, Any] = {"MaxConcurrencyPath": "$.job.limit", "ItemBatcher": {"MaxItemsPerBatch": 1}}
    arn = machines.start(machines.create(mapped(**fields)), {"job": {"limit": 2}})
    machines.until(lambda: gate.entered == 2)
    run = machines.map_run(arn)
    assert (run["maxConcurrency"], run["executionCounts"]["running"], gate.entered) == (2, 2, 2)
    gate.open()
    assert machines.wait(arn)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("limit", [-1, "2", None, True])
def test_a_concurrency_that_is_no_number_fails_the_execution(machines: Machines, limit: Any) -> None:
    execution = machines.run(machines.create(mapped(MaxConcurrencyPath="$.job.limit")), {"job": {"limit": limit}})
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Runtime")


def test_stopping_an_execution_aborts_its_children_and_starts_no_more(machines: Machines) -> None:
    gate = Gate(machines.changes)
    machines.call = gate
    arn = machines.start(machines.create(mapped(MaxConcurrency=1)), {"job": 1})
    machines.until(lambda: gate.entered == 1)
    machines.until(lambda: machines.map_run(arn)["executionCounts"]["total"] == 3)
    assert machines.request("_stop_execution", executionArn=arn)[0] == 200
    assert machines.describe(arn)["status"] == "ABORTED"
    run = machines.map_run(arn)
    assert run["status"] == "ABORTED"
    assert {name: count for name, count in run["itemCounts"].items() if count and name != "resultsWritten"} == {
        "aborted": 2, "pending": 3, "total": 5,
    }  # fmt: skip
    gate.open()
    machines.until(lambda: any(name.endswith("manifest.json") for name in machines.store.objects))
    assert gate.entered == 1


def test_redrive_runs_only_unsuccessful_children(machines: Machines) -> None:
    broken = {2}

    def call(payload: Any) -> Any:
        if payload["Items"][0]["index"] in broken:
            raise StatesError("BrokenError", "no")
        return {"items": len(payload["Items"])}

    machines.call = call
    arn = machines.start(machines.create(mapped(MaxConcurrency=1)), {"job": 1})
    assert machines.wait(arn)["status"] == "FAILED"
    assert machines.describe(arn)["redriveStatus"] == "REDRIVABLE"
    broken.clear()
    machines.calls.clear()
    assert machines.request("redrive", executionArn=arn)[0] == 200
    execution = machines.wait(arn)
    assert (execution["status"], execution["redriveCount"]) == ("SUCCEEDED", 1)
    assert sorted(call["Items"][0]["index"] for call in machines.calls) == [2, 4]
    run = machines.map_run(arn)
    assert (run["status"], run["redriveCount"]) == ("SUCCEEDED", 1)
    assert {name: count for name, count in run["itemCounts"].items() if count} == {
        "succeeded": 5, "total": 5, "resultsWritten": 5,
    }  # fmt: skip
    assert [len(files) for files in manifest_of(execution, machines.store)["ResultFiles"].values()] == [0, 0, 1]


def test_redrive_reads_on_where_a_stopped_run_stopped_reading(machines: Machines) -> None:
    stopped = threading.Event()

    def listing(*_: str) -> Iterator[dict[str, str]]:
        yield from ({"Key": str(number)} for number in range(3))
        assert stopped.wait(20)
        yield from ({"Key": str(number)} for number in range(3, 8))

    machines.store.list = listing  # type: ignore[method-assign]
    reader = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": "data", "Prefix": "in/"}}
    arn = machines.start(machines.create(mapped(ItemReader=reader)), {"job": 1})
    machines.until(lambda: machines.map_run(arn)["itemCounts"]["succeeded"] == 2)
    machines.request("_stop_execution", executionArn=arn)
    stopped.set()
    machines.until(lambda: any(name.endswith("manifest.json") for name in machines.store.objects))
    assert machines.map_run(arn)["itemCounts"]["total"] == 2
    machines.request("redrive", executionArn=arn)
    assert machines.wait(arn)["status"] == "SUCCEEDED"
    assert machines.map_run(arn)["itemCounts"]["succeeded"] == 8
    indices = sorted(item["index"] for call in machines.calls for item in call["Items"])
    assert indices == list(range(8))


@pytest.mark.parametrize("missing", ["read", "write", "start"])
def test_an_action_that_the_role_denies_fails_the_run_until_redriven(machines: Machines, missing: str) -> None:
    if missing == "start":
        machines.role.clear()
    machines.store.denied.add(missing)
    arn = machines.start(machines.create(mapped()), {"job": 1})
    errors = {
        "read": "States.ItemReaderFailed", "write": "States.ResultWriterFailed", "start": "States.Permissions",
    }  # fmt: skip
    execution = machines.wait(arn)
    assert (execution["status"], execution["error"]) == ("FAILED", errors[missing])
    machines.store.denied.clear()
    machines.role.add("states:StartExecution")
    machines.request("redrive", executionArn=arn)
    assert machines.wait(arn)["status"] == "SUCCEEDED"
    # Children whose results could not be written are not run again.
    assert len(machines.calls) == 3


def test_an_item_larger_than_a_batch_and_an_input_larger_than_a_child_takes_fail_the_run(machines: Machines) -> None:
    machines.store.objects["data/in.jsonl"] = lines({"key": "x" * 2000})
    batcher = {"MaxInputBytesPerBatch": 1000}
    execution = machines.run(machines.create(mapped(ItemBatcher=batcher)), {"job": 1})
    assert execution["error"] == "States.DataLimitExceeded"
    machines.store.objects["data/in.jsonl"] = lines(*({"key": "x" * 60_000} for _ in range(4)))
    batcher = {"MaxInputBytesPerBatch": 262_144, "BatchInput": {"job.$": "$.job"}}
    execution = machines.run(machines.create(mapped(ItemBatcher=batcher)), {"job": "y" * 30_000})
    assert execution["error"] == "States.DataLimitExceeded"
    assert machines.calls == []


def test_a_result_without_result_writer_is_the_array_of_outputs_up_to_256_kib(machines: Machines) -> None:
    execution = machines.run(machines.create(mapped(ResultWriter=None)), {"job": 1})
    assert json.loads(execution["output"]) == [{"items": 2}, {"items": 2}, {"items": 1}]
    machines.call = lambda _: "x" * 100_000
    execution = machines.run(machines.create(mapped(ResultWriter=None)), {"job": 1})
    assert execution["error"] == "States.DataLimitExceeded"


def test_an_empty_dataset_succeeds_without_children(machines: Machines) -> None:
    machines.store.objects["data/in.jsonl"] = b""
    execution = machines.run(machines.create(mapped()), {"job": 1})
    assert execution["status"] == "SUCCEEDED"
    assert manifest_of(execution, machines.store)["ResultFiles"] == {"FAILED": [], "PENDING": [], "SUCCEEDED": []}


def test_children_are_listed_by_map_run_with_their_item_counts(machines: Machines) -> None:
    machine = machines.create(mapped())
    arn = machines.start(machine, {"job": 1})
    machines.wait(arn)
    run = machines.map_run(arn)["mapRunArn"]
    children = machines.request("_list_executions", mapRunArn=run)[1]["executions"]
    assert len(children) == 3
    assert machines.describe(children[0]["executionArn"])["status"] == "SUCCEEDED"
    assert [
        e["executionArn"] for e in machines.request("_list_executions", stateMachineArn=machine)[1]["executions"]
    ] == [arn]
