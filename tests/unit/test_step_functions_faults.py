"""Faults of the emulator itself end an execution, as nothing else would."""

from __future__ import annotations

from typing import Any

import pytest
from state_machines import Machines, lines, mapped


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    machines = Machines(monkeypatch)
    machines.store.objects["data/in.jsonl"] = lines(*({"key": f"{number}.jpg"} for number in range(5)))
    return machines


def test_a_fault_of_the_emulator_fails_the_run_instead_of_leaving_it_open(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(payload: Any) -> Any:
        raise RecursionError("too deep")

    machines.call = broken
    execution = machines.wait(machines.start(machines.create(mapped()), {"job": 1}))
    assert (execution["status"], execution["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")

    def unreadable(*_: Any) -> Any:
        raise KeyError("reader")

    monkeypatch.setattr(machines.store, "read", unreadable)
    execution = machines.wait(machines.start(machines.create(mapped()), {"job": 1}))
    assert (execution["status"], execution["error"]) == ("FAILED", "States.Runtime")


def test_an_execution_is_never_seen_as_failed_with_an_output(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[dict[str, Any]] = []
    notify = machines.states._emit_execution_status_event

    def emit(execution: dict[str, Any]) -> None:
        records.append(dict(execution))
        notify(execution)

    monkeypatch.setattr(machines.states, "_emit_execution_status_event", emit)
    definition = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken", "Cause": "always"}}}
    arn = machines.start(machines.create(definition), {})
    machines.wait(arn)
    failed = [record for record in records if record["status"] == "FAILED"]
    assert [(record["error"], record["cause"], record["output"]) for record in failed] == [("Broken", "always", None)]
    assert failed[0]["stopDate"]
    _, history = machines.request("_get_execution_history", executionArn=arn)
    last = history["events"][-1]
    assert last["type"] == "ExecutionFailed"
    assert last["executionFailedEventDetails"] == {"error": "Broken", "cause": "always"}
