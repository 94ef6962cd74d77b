"""An execution from a state to its end: on a redrive, from the state at which it ended before.

The states themselves are MiniStack's; the limits of payloads, the timeout of an execution and redrive are not.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from localcloud.stepfunctions.limits import RUNTIME, AbortedError, StatesError, check_payload
from localcloud.stepfunctions.store import ROLE, Role

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

HANDLERS = {
    "Task": "_execute_task",
    "Map": "_execute_map",
    "Parallel": "_execute_parallel",
    "Pass": "_execute_pass",
    "Choice": "_execute_choice",
    "Wait": "_execute_wait",
}
# These take the execution too.
WITH_EXECUTION = ("Task", "Map", "Parallel")


class Interpreter:
    """Runs executions on the functions of MiniStack's module.

    Parameters
    ----------
    states
        ``ministack.services.stepfunctions``.
    stop_map_runs
        Stops the Map Runs of an execution.
    """

    def __init__(self, states: Any, stop_map_runs: Callable[[str], None]) -> None:
        self._states = states
        self._stop_map_runs = stop_map_runs

    def start(self, arn: str) -> None:
        """Run an execution that was just started, in the calling thread."""
        execution = self._states._executions[arn]
        machine = self._states._state_machines[execution["stateMachineArn"]]
        definition = json.loads(machine["definition"])
        execution |= {
            "_definition": definition,
            "_position": (definition["StartAt"], json.loads(execution["input"])),
            "redriveCount": 0,
        }
        self._run(execution)

    def redrive(self, execution: dict[str, Any]) -> None:
        """Continue an unsuccessful execution at its state, with the definition and the input that it had."""
        self._states._add_event(
            execution,
            "ExecutionRedriven",
            {"executionRedrivenEventDetails": {"redriveCount": execution["redriveCount"]}},
        )
        self._states._emit_execution_status_event(execution)
        self._run(execution)

    def _run(self, execution: dict[str, Any]) -> None:
        machine = self._states._state_machines[execution["stateMachineArn"]]
        ROLE.set(Role(machine["roleArn"]))
        attempt = execution["redriveCount"]
        timer = self._timer(execution, attempt)
        try:
            output = self._walk(execution, machine, attempt)
            text = json.dumps(output)
            check_payload(text, "output of the execution")
        except AbortedError:
            return
        except StatesError as error:
            self._fail(execution, attempt, error.error, error.cause)
        except self._states._ExecutionError as error:
            self._fail(execution, attempt, error.error, error.cause)
        except Exception as error:  # an entry point: the thread of an execution
            log.exception("the execution %s ended by an error of the emulator", execution["executionArn"])
            self._fail(execution, attempt, RUNTIME, str(error))
        else:
            self._succeed(execution, attempt, text)
        finally:
            if timer is not None:
                timer.cancel()

    def _walk(self, execution: dict[str, Any], machine: dict[str, Any], attempt: int) -> Any:
        definition = execution["_definition"]
        context = {
            "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
            "Execution": {
                "Id": execution["executionArn"],
                "Input": json.loads(execution["input"]),
                "Name": execution["name"],
                "RoleArn": machine["roleArn"],
                "StartTime": execution["startDate"],
                "RedriveCount": attempt,
            },
            "StateMachine": {"Id": execution["stateMachineArn"], "Name": machine["name"]},
            "variables": {},
        }
        name, value = execution["_position"]
        while name is not None:
            require_running(execution, attempt)
            execution["_position"] = (name, value)
            value, name = self._state(execution, definition["States"][name], name, value, context)
            execution["_redriving"] = False
            require_running(execution, attempt)
        return value

    def _state(
        self, execution: dict[str, Any], state: dict[str, Any], name: str, value: Any, context: dict[str, Any]
    ) -> tuple[Any, str | None]:
        states, kind = self._states, state["Type"]
        text = json.dumps(value)
        check_payload(text, f"input of the state {name}")
        context["State"] = {"Name": name, "EnteredTime": states.now_iso(), "RetryCount": 0}
        entered = {"stateEnteredEventDetails": {"name": name, "input": text}}
        states._add_event(execution, f"{kind}StateEntered", entered)
        if kind == "Fail":
            raise states._ExecutionError(*states._fail_state_error(state, value, context))
        output: Any
        following: str | None
        if kind == "Succeed":
            output = states._apply_input_path(state, value, context)
            output, following = states._apply_output_path(state, output, context), None
        else:
            arguments = (execution, context) if kind in WITH_EXECUTION else (context,)
            output, following = getattr(states, HANDLERS[kind])(state, value, *arguments)
        text = json.dumps(output)
        check_payload(text, f"output of the state {name}")
        states._add_event(execution, f"{kind}StateExited", {"stateExitedEventDetails": {"name": name, "output": text}})
        return output, following

    def _timer(self, execution: dict[str, Any], attempt: int) -> threading.Timer | None:
        seconds = execution["_definition"].get("TimeoutSeconds")
        if seconds is None:
            return None
        timer = threading.Timer(float(seconds), copy_context().run, (self._time_out, execution, attempt))
        timer.daemon = True
        timer.start()
        return timer

    def _time_out(self, execution: dict[str, Any], attempt: int) -> None:
        with contextlib.suppress(AbortedError):
            require_running(execution, attempt)
            execution |= {"status": "TIMED_OUT", "stopDate": self._states.now_iso(), "error": "States.Timeout"}
            self._states._add_event(execution, "ExecutionTimedOut", {})
            self._stop_map_runs(execution["executionArn"])
            self._states._emit_execution_status_event(execution)

    def _fail(self, execution: dict[str, Any], attempt: int, error: str, cause: str) -> None:
        with contextlib.suppress(AbortedError):
            require_running(execution, attempt)
            # A failed execution has no output.
            execution |= {
                "status": "FAILED",
                "stopDate": self._states.now_iso(),
                "error": error,
                "cause": cause,
                "output": None,
            }
            details = {"executionFailedEventDetails": {"error": error, "cause": cause}}
            self._states._add_event(execution, "ExecutionFailed", details)
            self._states._emit_execution_status_event(execution)

    def _succeed(self, execution: dict[str, Any], attempt: int, output: str) -> None:
        with contextlib.suppress(AbortedError):
            require_running(execution, attempt)
            execution |= {"status": "SUCCEEDED", "output": output, "stopDate": self._states.now_iso()}
            details = {"executionSucceededEventDetails": {"output": output}}
            self._states._add_event(execution, "ExecutionSucceeded", details)
            self._states._emit_execution_status_event(execution)


def require_running(execution: dict[str, Any], attempt: int) -> None:
    """Raise AbortedError in a thread whose execution was stopped, or has been redriven since."""
    if execution["status"] != "RUNNING" or execution.get("redriveCount", 0) != attempt:
        raise AbortedError
