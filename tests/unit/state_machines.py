"""Step Functions of MiniStack in this process, with the replacements, and a Python function in the place of Lambda."""

from __future__ import annotations

import json
import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from localcloud.ministack.step_functions import StepFunctions
from localcloud.stepfunctions.limits import StatesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pytest

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:batch:1"
ROLE = "arn:aws:iam::000000000000:role/states"
DEADLINE_SECONDS = 20.0


class Changes:
    """Tells a waiting test that something has changed, so that it looks at its condition again."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def add(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is called without a lock."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            count = self._count
            if condition():
                return
            with self._condition:
                assert self._condition.wait_for(lambda: self._count != count, deadline - time.monotonic())  # noqa: B023


class FakeStore:
    """S3 in memory; `denied` names what raises, as a role without permission would."""

    def __init__(self, changes: Changes | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.denied: set[str] = set()
        self._changes = changes or Changes()

    def read(self, bucket: str, key: str, version: str | None) -> bytes:
        if "read" in self.denied or f"{bucket}/{key}" not in self.objects:
            raise StatesError("States.ItemReaderFailed", f"The specified key does not exist. {bucket}/{key} {version}")
        return self.objects[f"{bucket}/{key}"]

    def list(self, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
        for name in sorted(self.objects):
            if name.startswith(f"{bucket}/{prefix}"):
                yield {"Key": name.removeprefix(f"{bucket}/"), "Size": len(self.objects[name])}

    def write(self, bucket: str, key: str, body: bytes) -> None:
        if "write" in self.denied:
            raise StatesError("States.ResultWriterFailed", "Access Denied")
        self.objects[f"{bucket}/{key}"] = body
        self._changes.add()

    def json(self, name: str) -> Any:
        return json.loads(self.objects[name])


class Machines:
    """The API actions of Step Functions, without HTTP.

    Attributes
    ----------
    call
        Stands for Lambda: takes the payload, returns the result or raises StatesError.
    calls
        Payloads of all invocations, in their order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import ministack.services.cloudformation.provisioners as provisioners
        import ministack.services.stepfunctions as states

        self.states: Any = states
        self.changes = changes = Changes()
        self.until = changes.until
        self.store = FakeStore(changes)
        self.call: Callable[[Any], Any] = lambda payload: {"items": len(payload["Items"])}
        self.calls: list[Any] = []
        self.role: set[str] = {"states:StartExecution"}
        functions = StepFunctions()
        for replacement in functions.replacements():
            module = provisioners if replacement.module.endswith("provisioners") else states
            successor = replacement.make(getattr(module, replacement.name))
            monkeypatch.setattr(module, replacement.name, successor)
        monkeypatch.setattr(states, "_call_lambda", self._call)
        monkeypatch.setattr("localcloud.stepfunctions.maps.RoleStore", lambda: self.store)
        monkeypatch.setattr("localcloud.stepfunctions.maps.allowed", lambda action, _: action in self.role)
        monkeypatch.setattr(states, "_emit_execution_status_event", lambda _: changes.add())

        class Observed(threading.Condition):
            """Of a Map Run: notified at every change of its record."""

            def notify_all(self) -> None:
                super().notify_all()
                changes.add()

        monkeypatch.setattr("localcloud.stepfunctions.map_run.Condition", Observed)
        self.functions = functions

    def create(self, definition: Mapping[str, Any]) -> str:
        status, answer = self.request("_create_state_machine", name=f"m{time.monotonic_ns()}", definition=definition)
        assert status == 200, answer
        return str(answer["stateMachineArn"])

    def request(self, action: str, **data: Any) -> tuple[int, Any]:
        if "definition" in data:
            data |= {"definition": json.dumps(data["definition"]), "roleArn": ROLE}
        function = self.functions._redrive if action == "redrive" else getattr(self.states, action)
        status, _, body = copy_context().run(function, data)
        return status, json.loads(body)

    def start(self, machine: str, value: Any, name: str | None = None) -> str:
        data = {"stateMachineArn": machine, "input": json.dumps(value), **({"name": name} if name else {})}
        status, answer = self.request("_start_execution", **data)
        assert status == 200, answer
        return str(answer["executionArn"])

    def describe(self, arn: str) -> Any:
        return self.request("_describe_execution", executionArn=arn)[1]

    def wait(self, arn: str) -> Any:
        """The execution once it has ended."""
        self.until(lambda: self.describe(arn)["status"] != "RUNNING")
        return self.describe(arn)

    def map_run(self, arn: str) -> Any:
        """The only Map Run of an execution, once it has one."""

        def runs() -> list[Any]:
            runs: list[Any] = self.request("_list_map_runs", executionArn=arn)[1]["mapRuns"]
            return runs

        self.until(lambda: bool(runs()))
        assert len(runs()) == 1
        return self.request("_describe_map_run", mapRunArn=runs()[0]["mapRunArn"])[1]

    def run(self, machine: str, value: Any = None) -> Any:
        return self.wait(self.start(machine, value if value is not None else {}))

    def _call(self, _: str, payload: Any) -> Any:
        self.calls.append(payload)
        try:
            return self.call(payload)
        except StatesError as error:
            raise self.states._ExecutionError(error.error, error.cause) from None


def mapped(**fields: Any) -> dict[str, Any]:
    """A state machine of one DISTRIBUTED Map over the objects of ``data/in.jsonl``; `fields` replace or, with None,
    remove fields of the Map."""
    child = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": FUNCTION, "Payload.$": "$"},
        "OutputPath": "$.Payload",
        "End": True,
        **({"Retry": fields.pop("Retry")} if "Retry" in fields else {}),
    }
    state = {
        "Type": "Map",
        "Label": "Items",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Parameters": {"Bucket": "data", "Key": "in.jsonl"},
        },
        "ItemSelector": {"index.$": "$$.Map.Item.Index", "item.$": "$$.Map.Item.Value"},
        "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"job.$": "$.job"}},
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Call",
            "States": {"Call": child},
        },
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "out", "Prefix": "map"}},
        "End": True,
    }
    state = {name: value for name, value in {**state, **fields}.items() if value is not None}
    return {"StartAt": "Map", "States": {"Map": state}}


def lines(*items: Any) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


class Gate:
    """Holds invocations until it is opened."""

    def __init__(self, changes: Changes) -> None:
        self._opened = threading.Event()
        self._changes = changes
        self.entered = 0

    def __call__(self, _: Any) -> Any:
        self.entered += 1
        self._changes.add()
        assert self._opened.wait(DEADLINE_SECONDS)
        return {}

    def open(self) -> None:
        self._opened.set()
