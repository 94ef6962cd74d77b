"""Which executions may be redriven, and which names may be used again.

Source: API reference of StartExecution, RedriveExecution and DescribeExecution.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from localcloud.stepfunctions.limits import (
    MAX_HISTORY_EVENTS,
    MAX_NAME_CHARACTERS,
    MAX_PAYLOAD_BYTES,
    NAME_REUSE_DAYS,
    REDRIVE_DAYS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

REDRIVABLE, NOT_REDRIVABLE = "REDRIVABLE", "NOT_REDRIVABLE"
_FORBIDDEN_IN_NAMES = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\u0000-\u001f\u007f-\u009f\ufffe\uffff]")


def redrive_status(execution: Mapping[str, Any], now: datetime | None = None) -> tuple[str, str | None]:
    """``redriveStatus`` of an execution, and the reason if it cannot be redriven."""
    status = execution["status"]
    if status in ("RUNNING", "SUCCEEDED"):
        return NOT_REDRIVABLE, f"Execution is {status} and cannot be redriven."
    if len(execution.get("events", ())) >= MAX_HISTORY_EVENTS - 1:
        return NOT_REDRIVABLE, "Execution history event limit exceeded."
    if execution.get("stopDate") and age(execution["stopDate"], now) > timedelta(days=REDRIVE_DAYS):
        return NOT_REDRIVABLE, "Execution redrivable period exceeded."
    return REDRIVABLE, None


def name_problem(name: Any) -> str | None:
    """Why a name is rejected as ``InvalidName``; None if it is not."""
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        return f"Invalid Name: a name has 1 to {MAX_NAME_CHARACTERS} characters."
    if match := _FORBIDDEN_IN_NAMES.search(name):
        return f"Invalid Name: '{name}' contains {match.group()!r}."
    return None


def input_problem(text: Any) -> str | None:
    """Why an input is rejected as ``InvalidExecutionInput``; None if it is not."""
    if not isinstance(text, str):
        return "Invalid State Machine Execution Input: it is not a string."
    if len(text.encode()) > MAX_PAYLOAD_BYTES:
        return f"Invalid State Machine Execution Input: it is longer than {MAX_PAYLOAD_BYTES} bytes."
    try:
        json.loads(text)
    except ValueError as error:
        return f"Invalid State Machine Execution Input: '{error}'"
    return None


def is_same_request(existing: Mapping[str, Any], text: str) -> bool:
    """Whether StartExecution answers with this execution: it runs, and with the same input."""
    return bool(existing["status"] == "RUNNING" and existing["input"] == text)


def name_is_free(existing: Mapping[str, Any], now: datetime | None = None) -> bool:
    """Whether the name of a closed execution can be used again."""
    stopped = existing.get("stopDate")
    return stopped is not None and age(stopped, now) > timedelta(days=NAME_REUSE_DAYS)


def age(stamp: str, now: datetime | None) -> timedelta:
    return (now or datetime.now(UTC)) - datetime.fromisoformat(stamp)
