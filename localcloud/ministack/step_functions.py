"""Step Functions of MiniStack, replaced by the modules of `localcloud.stepfunctions` where AWS behaves otherwise."""

from __future__ import annotations

import http.client
import json
import random
from typing import TYPE_CHECKING, Any

from localcloud.ministack.compatibility import LAMBDA, PROVISIONERS, STATES
from localcloud.ministack.replacement import Module, Replacement
from localcloud.stepfunctions.definition import problem
from localcloud.stepfunctions.interpreter import Interpreter
from localcloud.stepfunctions.limits import DATA_LIMIT_EXCEEDED, MAX_PAYLOAD_BYTES
from localcloud.stepfunctions.maps import DistributedMap, spawn
from localcloud.stepfunctions.redrive import (
    REDRIVABLE,
    input_problem,
    is_same_request,
    name_is_free,
    name_problem,
    redrive_status,
)
from localcloud.stepfunctions.retries import ABORTED, find_retrier, matches
from localcloud.stepfunctions.store import ROLE, allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_PAGE, MAX_PAGE = 100, 1000
Answer = tuple[int, dict[str, str], bytes]


class StepFunctions:
    """The API actions and internal functions that are replaced, over one interpreter."""

    def __init__(self) -> None:
        self._states, self._lambda = Module(STATES), Module(LAMBDA)
        self._maps = DistributedMap(self._states)
        self._interpreter = Interpreter(self._states, self._maps.stop)
        self._generator = random.Random()  # noqa: S311 - jitter

    def replacements(self) -> tuple[Replacement, ...]:
        """All functions of MiniStack that have a successor here."""
        return (
            Replacement(STATES, "handle_request", self._handling),
            Replacement(STATES, "_start_execution", self._starting),
            Replacement(STATES, "_stop_execution", self._stopping),
            Replacement(STATES, "_describe_execution", self._describing),
            Replacement(STATES, "_list_executions", self._listing),
            Replacement(STATES, "_run_execution", lambda _: self._interpreter.start),
            Replacement(STATES, "_run_distributed_map", lambda _: self._maps.execute),
            Replacement(STATES, "_call_lambda", lambda _: self.call_lambda),
            Replacement(STATES, "_add_event", self._adding),
            Replacement(STATES, "_error_matches", lambda _: matches),
            Replacement(STATES, "_find_matching_retrier", lambda _: self._find_retrier),
            Replacement(STATES, "_validate_definition_jsonata", self._checking),
            Replacement(PROVISIONERS, "_sfn_definition", _checking_templates),
        )

    def call_lambda(self, reference: str, event: Any) -> Any:
        """Invoke a function for a task, under the role of the state machine."""
        if ROLE.get() is not None and not allowed("lambda:InvokeFunction", reference):
            message = (
                f"The role of the state machine is not authorized to perform: lambda:InvokeFunction on {reference}"
            )
            raise self._states._ExecutionError("Lambda.AWSLambdaException", message)
        record, config, name = self._lambda._get_func_record_for_ref(reference)
        if not record or not config:
            raise self._states._ExecutionError("Lambda.ResourceNotFoundException", f"Function not found: {name}")
        target = self._lambda._execution_record_for_config(record, config)
        result = self._lambda._execute_function_with_config_scope(target, event)
        if result.get("error"):
            raise self._states._ExecutionError(*task_error(result))
        body = result.get("body")
        if len(json.dumps(body)) > MAX_PAYLOAD_BYTES:
            message = f"The function returned a result with a size exceeding {MAX_PAYLOAD_BYTES} bytes."
            raise self._states._ExecutionError(DATA_LIMIT_EXCEEDED, message)
        return body

    def _handling(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        async def handle_or_redrive(
            method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any
        ) -> Answer:
            if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
                response: Answer = self._states._finalize_response(self._redrive(json.loads(body or b"{}")))
                return response
            passed: Answer = await handle(method, path, headers, body, query)
            return passed

        return handle_or_redrive

    def _starting(self, start: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
        def start_or_reject(data: dict[str, Any]) -> Answer:
            text = data.get("input", "{}")
            if message := input_problem(text):
                return self._error("InvalidExecutionInput", message)
            if data.get("name") is None:
                return start(data)
            if message := name_problem(data["name"]):
                return self._error("InvalidName", message)
            machine = self._states._resolve_state_machine_arn(data.get("stateMachineArn", ""))
            if machine is None:
                return start(data)
            arn = f"{machine.replace(':stateMachine:', ':execution:')}:{data['name']}"
            existing = self._states._executions.get(arn)
            if existing is None:
                return start(data)
            if is_same_request(existing, text):
                return self._answer({"executionArn": arn, "startDate": existing["startDate"]})
            if name_is_free(existing):
                del self._states._executions[arn]
                return start(data)
            return self._error("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")

        return start_or_reject

    def _stopping(self, stop: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
        def stop_with_map_runs(data: dict[str, Any]) -> Answer:
            response = stop(data)
            if response[0] == http.client.OK:
                self._maps.stop(data["executionArn"])
            return response

        return stop_with_map_runs

    def _redrive(self, data: dict[str, Any]) -> Answer:
        execution = self._states._executions.get(data.get("executionArn"))
        if execution is None:
            return self._error("ExecutionDoesNotExist", f"Execution Does Not Exist: '{data.get('executionArn')}'")
        token = data.get("clientToken")
        if token and token in execution.get("_redrive_tokens", ()):
            return self._answer({"redriveDate": execution["redriveDate"]})
        status, reason = redrive_status(execution)
        if status != REDRIVABLE:
            return self._error("ExecutionNotRedrivable", reason or status)
        now = self._states.now_iso()
        execution |= {
            "status": "RUNNING",
            "stopDate": None,
            "output": None,
            "error": None,
            "cause": None,
            "redriveCount": execution.get("redriveCount", 0) + 1,
            "redriveDate": now,
            "_redriving": True,
            "_redrive_tokens": [*execution.get("_redrive_tokens", ()), token][-10:],
        }
        spawn(lambda: self._interpreter.redrive(execution))
        return self._answer({"redriveDate": now})

    def _describing(self, describe: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
        def describe_redrives(data: dict[str, Any]) -> Answer:
            status, headers, body = describe(data)
            if status != http.client.OK:
                return status, headers, body
            execution = self._states._executions[data["executionArn"]]
            redrivable, reason = redrive_status(execution)
            described = json.loads(body) | {
                "redriveCount": execution.get("redriveCount", 0),
                "redriveStatus": redrivable,
            }
            if reason:
                described["redriveStatusReason"] = reason
            if execution.get("redriveDate"):
                described["redriveDate"] = execution["redriveDate"]
            return self._answer({name: value for name, value in described.items() if value is not None})

        return describe_redrives

    def _listing(self, list_executions: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
        def list_or_reject(data: dict[str, Any]) -> Answer:
            if bool(data.get("stateMachineArn")) == bool(data.get("mapRunArn")):
                return self._error("ValidationException", "Specify either stateMachineArn or mapRunArn, but not both.")
            if data.get("statusFilter") == "PENDING_REDRIVE" and not data.get("mapRunArn"):
                return self._error("ValidationException", "PENDING_REDRIVE needs a mapRunArn.")
            size = data.get("maxResults") or DEFAULT_PAGE
            if not 1 <= size <= MAX_PAGE:
                return self._error("ValidationException", f"maxResults is at most {MAX_PAGE}.")
            machine = data.get("stateMachineArn")
            if machine and self._states._resolve_state_machine_arn(machine) is None:
                return self._error("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{machine}'")
            return list_executions({**data, "maxResults": size})

        return list_or_reject

    def _adding(self, add: Callable[..., Any]) -> Callable[..., Any]:
        def add_or_leave(execution: dict[str, Any], kind: str, details: Any = None) -> Any:
            # The next attempt of a task whose child was aborted: it must not call the function again.
            if kind == "TaskScheduled" and execution["status"] != "RUNNING":
                raise self._states._ExecutionError(ABORTED, "The execution was stopped.")
            return add(execution, kind, details)

        return add_or_leave

    def _find_retrier(self, retriers: Any, error: str, counts: Mapping[int, int]) -> tuple[dict[str, Any] | None, int]:
        return find_retrier(retriers, error, counts, self._generator)

    def _checking(self, check: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        return lambda text: problem(text or "{}") or check(text)

    def _answer(self, body: Mapping[str, Any]) -> Answer:
        response: Answer = self._states.json_response(body)
        return response

    def _error(self, code: str, message: str) -> Answer:
        response: Answer = self._states.error_response_json(code, message, 400)
        return response


def _checking_templates(resolve: Callable[[Any], str]) -> Callable[[Any], str]:
    def resolve_or_reject(properties: Any) -> str:
        text = resolve(properties)
        if message := problem(text):
            raise ValueError(f"Invalid State Machine Definition: '{message}'")
        return text

    return resolve_or_reject


def task_error(result: Mapping[str, Any]) -> tuple[str, str]:
    """Error and cause of a failed invocation, as the Lambda integration of Step Functions names them.

    Source: Step Functions developer guide, 'Handling errors', and 'Invoke Lambda functions with Step Functions'.
    """
    body = result.get("body")
    cause = json.dumps(body)
    if result.get("throttle"):
        return "Lambda.TooManyRequestsException", cause
    if result.get("http_status") == http.client.REQUEST_ENTITY_TOO_LARGE:
        return "Lambda.RequestTooLargeException", cause
    if isinstance(body, dict) and body.get("errorType"):
        return ("Lambda.ServiceException" if body["errorType"] == "ServiceException" else body["errorType"]), cause
    if result.get("http_status"):
        return "Lambda.ServiceException", cause
    return "Lambda.Unknown", cause


def replacements() -> tuple[Replacement, ...]:
    """Replacements in MiniStack's Step Functions."""
    return StepFunctions().replacements()
