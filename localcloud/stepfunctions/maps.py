"""The DISTRIBUTED Map state: its resolved fields, and the Map Run that it starts."""

from __future__ import annotations

import json
import threading
import uuid
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from localcloud.stepfunctions.batches import Batcher, encode, one_by_one
from localcloud.stepfunctions.limits import PERMISSIONS, RESULT_WRITER_FAILED, RUNTIME, AbortedError, StatesError
from localcloud.stepfunctions.map_run import Environment, MapRun, Tolerance
from localcloud.stepfunctions.readers import Store, limited, read_items
from localcloud.stepfunctions.results import Writer, write_results
from localcloud.stepfunctions.store import RoleStore, allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from localcloud.stepfunctions.batches import ChildInput


class DistributedMap:
    """Map states of all executions, and their runs.

    Parameters
    ----------
    states
        ``ministack.services.stepfunctions``.
    """

    def __init__(self, states: Any) -> None:
        self._states = states
        self._runs: dict[str, MapRun] = {}

    def stop(self, execution_arn: str) -> None:
        """Stop the Map Runs of an execution."""
        for run in list(self._runs.values()):
            if run.record["executionArn"] == execution_arn:
                run.stop()

    def execute(
        self,
        state: dict[str, Any],
        raw_input: Any,
        effective: Any,
        processor: dict[str, Any],
        execution: dict[str, Any],
        context: dict[str, Any],
    ) -> tuple[Any, str | None]:
        """Run a DISTRIBUTED Map state, as MiniStack calls it; return its output and the next state.

        Raises
        ------
        ministack.services.stepfunctions._ExecutionError
            When the run fails, for the state's own Retry and Catch.
        AbortedError
            When the execution was stopped.
        """
        states = self._states
        try:
            run = self._run_of(state, effective, processor, execution, context)
            result = self._results(run, self._writer(state, effective, context))
        except StatesError as error:
            raise states._ExecutionError(error.error, error.cause) from None
        result = states._apply_result_selector(state, result)
        output = states._apply_result_path(state, raw_input, result)
        return states._apply_output_path(state, output, context), states._next_or_end(state)

    def _run_of(
        self, state: dict[str, Any], effective: Any, processor: Any, execution: dict[str, Any], context: dict[str, Any]
    ) -> MapRun:
        name = context["State"]["Name"]
        earlier = self._runs.get(execution.get("_map_runs", {}).get(name, ""))
        if execution.get("_redriving") and earlier is not None and earlier.record["status"] != "SUCCEEDED":
            earlier.redrive()
            return earlier
        machine = execution["stateMachineArn"]
        if not allowed("states:StartExecution", machine):
            raise StatesError(PERMISSIONS, f"The role of {machine} must be allowed states:StartExecution on it.")
        label = state.get("Label") or uuid.uuid4().hex
        tolerance = Tolerance(
            self._number(state, "ToleratedFailureCount", effective, context),
            self._number(state, "ToleratedFailurePercentage", effective, context),
        )
        concurrency = self._number(state, "MaxConcurrency", effective, context) or 0
        environment = self._environment(state, effective, processor, context)
        run = MapRun(execution, label, int(concurrency), tolerance, environment)
        self._runs[run.arn] = run
        self._states._map_runs[run.arn] = run.record
        execution.setdefault("_map_runs", {})[name] = run.arn
        return run

    def _environment(
        self, state: dict[str, Any], effective: Any, processor: Any, context: dict[str, Any]
    ) -> Environment:
        states = self._states
        batches = self._batches(state, effective, context)

        def execute(child: dict[str, Any]) -> str:
            child_context = {**context, "Execution": {**context["Execution"], "Id": child["executionArn"]}}
            try:
                output = states._run_sub_machine(
                    processor["States"], processor["StartAt"], json.loads(child["input"]), child, child_context
                )
            except states._ExecutionError as error:
                raise StatesError(error.error, error.cause) from None
            return encode(output)

        def register(child: dict[str, Any]) -> None:
            states._executions[child["executionArn"]] = child

        return Environment(batches, execute, spawn, register, states.now_iso)

    def _batches(
        self, state: dict[str, Any], effective: Any, context: dict[str, Any]
    ) -> Callable[[], Iterator[ChildInput]]:
        batcher = state.get("ItemBatcher")
        if batcher is None:
            return lambda: one_by_one(self._items(state, effective, context))
        fixed = batcher.get("BatchInput")
        resolved = Batcher(
            self._number(batcher, "MaxItemsPerBatch", effective, context),
            self._number(batcher, "MaxInputBytesPerBatch", effective, context),
            None if fixed is None else self._states._resolve_params_obj(fixed, effective, context),
        )
        return lambda: resolved.batches(self._items(state, effective, context))

    def _items(self, state: dict[str, Any], effective: Any, context: dict[str, Any]) -> Iterator[Any]:
        states = self._states
        selector = state.get("ItemSelector") or state.get("Parameters")
        for index, item in enumerate(self._dataset(state, effective, context)):
            if selector is None:
                yield item
            else:
                item_context = {**context, "Map": {"Item": {"Index": index, "Value": item}}}
                yield states._resolve_params_obj(selector, effective, item_context)

    def _dataset(self, state: dict[str, Any], effective: Any, context: dict[str, Any]) -> Iterator[Any]:
        states, reader = self._states, state.get("ItemReader")
        if reader is None:
            items = states._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, context)
            if not isinstance(items, list):
                raise StatesError(RUNTIME, "The items of the Map state are not an array.")
            return iter(items)
        config = reader.get("ReaderConfig") or {}
        parameters = states._resolve_params_obj(reader.get("Parameters") or {}, effective, context)
        items = read_items(reader["Resource"], parameters, config, self._store())
        return limited(items, self._number(config, "MaxItems", effective, context))

    def _writer(self, state: dict[str, Any], effective: Any, context: dict[str, Any]) -> Writer | None:
        writer = state.get("ResultWriter")
        if writer is None:
            return None
        parameters = self._states._resolve_params_obj(writer.get("Parameters") or {}, effective, context)
        config = writer.get("WriterConfig") or {}
        return Writer(
            str(parameters.get("Bucket") or ""),
            str(parameters.get("Prefix") or ""),
            compact=config.get("Transformation") == "COMPACT",
            lines=config.get("OutputType") == "JSONL",
        )

    def _results(self, run: MapRun, writer: Writer | None) -> Any:
        """Run the children, then write or return what they returned."""
        failure: StatesError | AbortedError | None = None
        try:
            run.run()
        except (StatesError, AbortedError) as error:
            failure = error
        details = None
        if writer is not None:
            try:
                details = write_results(run.arn, list(run.children), writer, self._store())
                run.written()
            except StatesError as error:
                run.fail()
                failure = failure or StatesError(RESULT_WRITER_FAILED, error.cause)
        if failure is not None:
            raise failure
        if details is not None:
            return {"MapRunArn": run.arn, "ResultWriterDetails": details}
        return [json.loads(child["output"]) if child["output"] is not None else None for child in run.children]

    def _number(self, fields: dict[str, Any], name: str, effective: Any, context: dict[str, Any]) -> Any:
        """A field, or what its path points at: a number that is not negative."""
        value = fields.get(name)
        if path := fields.get(f"{name}Path"):
            value = self._states._resolve_path_or_ctx(path, effective, context)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise StatesError(RUNTIME, f"{name}Path '{path}' must point at a non-negative number, not {value!r}.")
        return value

    @staticmethod
    def _store() -> Store:
        return RoleStore()


def spawn(function: Callable[[], None]) -> None:
    """Run a function in a daemon thread with the caller's account, region and role."""
    threading.Thread(target=copy_context().run, args=(function,), daemon=True).start()
