"""Definitions that Step Functions rejects when a state machine is created or updated, and MiniStack accepts.

Source: Amazon States Language specification; Step Functions developer guide, 'Map state', 'ItemReader (Map)',
'ItemBatcher (Map)', 'ResultWriter (Map)' and 'Handling errors'.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from localcloud.stepfunctions.limits import MAX_DEFINITION_BYTES, MAX_LABEL_CHARACTERS, MAX_PAYLOAD_BYTES
from localcloud.stepfunctions.readers import DELIMITERS, GET_OBJECT, LIST_OBJECTS
from localcloud.stepfunctions.redrive import name_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INPUT_TYPES = ("JSON", "JSONL", "CSV")
PUT_OBJECT = "arn:aws:states:::s3:putObject"
MAX_DELAY_SECONDS = 31_622_400
_ALTERNATIVES = (
    "MaxConcurrency",
    "ToleratedFailureCount",
    "ToleratedFailurePercentage",
    "MaxItems",
    "MaxItemsPerBatch",
    "MaxInputBytesPerBatch",
)


def problem(text: str) -> str | None:
    """The first reason why AWS would answer ``InvalidDefinition``; None if none was found."""
    if len(text.encode()) > MAX_DEFINITION_BYTES:
        return f"The definition is longer than {MAX_DEFINITION_BYTES} bytes."
    try:
        definition = json.loads(text)
    except ValueError as error:
        return f"INVALID_JSON_DESCRIPTION: {error}"
    return next(_machine(definition, "", set()), None)


def _machine(machine: Mapping[str, Any], path: str, labels: set[str]) -> Iterator[str]:
    states = machine.get("States") or {}
    if machine.get("StartAt") not in states:
        yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {machine.get('StartAt')} at {path}/StartAt"
    for name, state in states.items():
        place = f"{path}/States/{name}"
        yield from _transitions(state, states, place)
        yield from _retriers(state, place)
        for branch in state.get("Branches", ()):
            yield from _machine(branch, f"{place}/Branches", labels)
        if state.get("Type") == "Map":
            yield from _map(state, place, labels)


def _transitions(state: Mapping[str, Any], states: Mapping[str, Any], place: str) -> Iterator[str]:
    rules = [*state.get("Choices", ()), *state.get("Catch", ())]
    targets = [state.get("Next"), state.get("Default"), *(rule.get("Next") for rule in rules)]
    for target in targets:
        if target is not None and target not in states:
            yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {target} at {place}"
    if state.get("Type") in ("Pass", "Task", "Wait", "Parallel", "Map") and ("Next" in state) == bool(state.get("End")):
        yield f"SCHEMA_VALIDATION_FAILED: One of 'Next' and 'End' is required at {place}"


def _retriers(state: Mapping[str, Any], place: str) -> Iterator[str]:
    for rules in ("Retry", "Catch"):
        listed = state.get(rules, ())
        for index, rule in enumerate(listed):
            where = f"{place}/{rules}[{index}]"
            names = rule.get("ErrorEquals") or ()
            if not names:
                yield f"SCHEMA_VALIDATION_FAILED: ErrorEquals is required at {where}"
            if "States.ALL" in names and (len(names) > 1 or index != len(listed) - 1):
                yield f"SCHEMA_VALIDATION_FAILED: States.ALL must appear alone and last at {where}"
            if rules == "Catch":
                continue
            interval, longest = rule.get("IntervalSeconds", 1), rule.get("MaxDelaySeconds")
            if rule.get("BackoffRate", 1.0) < 1.0:
                yield f"SCHEMA_VALIDATION_FAILED: BackoffRate must be at least 1.0 at {where}"
            if longest is not None and not interval < longest < MAX_DELAY_SECONDS:
                yield f"SCHEMA_VALIDATION_FAILED: MaxDelaySeconds must be above IntervalSeconds at {where}"
            if rule.get("JitterStrategy", "NONE") not in ("FULL", "NONE"):
                yield f"SCHEMA_VALIDATION_FAILED: JitterStrategy is FULL or NONE at {where}"


def _map(state: Mapping[str, Any], place: str, labels: set[str]) -> Iterator[str]:
    processor = state.get("ItemProcessor") or state.get("Iterator") or {}
    config = processor.get("ProcessorConfig") or {}
    yield from _machine(processor, f"{place}/ItemProcessor", labels)
    yield from _exclusive(state, place)
    if config.get("Mode") != "DISTRIBUTED":
        for field in ("ItemReader", "ItemBatcher", "ResultWriter", "Label"):
            if field in state:
                yield f"SCHEMA_VALIDATION_FAILED: {field} needs a DISTRIBUTED Map at {place}"
        return
    if config.get("ExecutionType") != "STANDARD":
        # EXPRESS exists on AWS; this cloud runs STANDARD children only.
        yield f"SCHEMA_VALIDATION_FAILED: ExecutionType of a DISTRIBUTED Map must be STANDARD here at {place}"
    yield from _label(state.get("Label"), place, labels)
    yield from _reader(state.get("ItemReader"), place)
    yield from _batcher(state.get("ItemBatcher"), place)
    yield from _writer(state.get("ResultWriter"), place)


def _label(label: Any, place: str, labels: set[str]) -> Iterator[str]:
    if label is None:
        return
    if name_problem(label) or len(label) > MAX_LABEL_CHARACTERS:
        yield f"SCHEMA_VALIDATION_FAILED: Label has at most {MAX_LABEL_CHARACTERS} characters of a name at {place}"
    if label in labels:
        yield f"SCHEMA_VALIDATION_FAILED: Label {label} is not unique at {place}"
    labels.add(label)


def _reader(reader: Mapping[str, Any] | None, place: str) -> Iterator[str]:
    if reader is None:
        return
    config = reader.get("ReaderConfig") or {}
    yield from _exclusive(config, f"{place}/ItemReader")
    if reader.get("Resource") not in (GET_OBJECT, LIST_OBJECTS):
        yield f"SCHEMA_VALIDATION_FAILED: Resource must be {GET_OBJECT} or {LIST_OBJECTS} at {place}/ItemReader"
    elif reader["Resource"] == GET_OBJECT and config.get("InputType") not in INPUT_TYPES:
        yield f"SCHEMA_VALIDATION_FAILED: InputType must be one of {', '.join(INPUT_TYPES)} at {place}/ItemReader"
    if config.get("InputType") == "CSV":
        location = config.get("CSVHeaderLocation")
        if location not in ("FIRST_ROW", "GIVEN") or (location == "GIVEN") != bool(config.get("CSVHeaders")):
            yield f"SCHEMA_VALIDATION_FAILED: CSVHeaderLocation is FIRST_ROW, or GIVEN with CSVHeaders at {place}"
        if config.get("CSVDelimiter", "COMMA") not in DELIMITERS:
            yield f"SCHEMA_VALIDATION_FAILED: CSVDelimiter must be one of {', '.join(DELIMITERS)} at {place}"


def _batcher(batcher: Mapping[str, Any] | None, place: str) -> Iterator[str]:
    if batcher is None:
        return
    where = f"{place}/ItemBatcher"
    yield from _exclusive(batcher, where)
    limits = ("MaxItemsPerBatch", "MaxInputBytesPerBatch")
    if not any(field in batcher or f"{field}Path" in batcher for field in limits):
        yield f"SCHEMA_VALIDATION_FAILED: One of {' and '.join(limits)} is required at {where}"
    for field in limits:
        if field in batcher and (not isinstance(batcher[field], int) or batcher[field] < 1):
            yield f"SCHEMA_VALIDATION_FAILED: {field} must be a positive integer at {where}"
    if batcher.get("MaxInputBytesPerBatch", 1) > MAX_PAYLOAD_BYTES:
        yield f"SCHEMA_VALIDATION_FAILED: MaxInputBytesPerBatch is at most {MAX_PAYLOAD_BYTES} at {where}"


def _writer(writer: Mapping[str, Any] | None, place: str) -> Iterator[str]:
    if writer is None:
        return
    where = f"{place}/ResultWriter"
    if writer.get("Resource") != PUT_OBJECT:
        yield f"SCHEMA_VALIDATION_FAILED: Resource must be {PUT_OBJECT} at {where}"
    config = writer.get("WriterConfig") or {"Transformation": "NONE", "OutputType": "JSON"}
    # FLATTEN exists on AWS, too; this cloud does not have it.
    for field, values in (("Transformation", ("NONE", "COMPACT")), ("OutputType", ("JSON", "JSONL"))):
        if config.get(field) not in values:
            yield f"SCHEMA_VALIDATION_FAILED: {field} must be one of {', '.join(values)} here at {where}/WriterConfig"


def _exclusive(fields: Mapping[str, Any], where: str) -> Iterator[str]:
    for field in _ALTERNATIVES:
        if field in fields and f"{field}Path" in fields:
            yield f"SCHEMA_VALIDATION_FAILED: Only one of {field} and {field}Path is allowed at {where}"
