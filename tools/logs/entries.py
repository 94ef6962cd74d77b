"""Events of CloudWatch Logs as entries: level, request id and codes of each line that a deployment writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# Lambda's own lines (Lambda developer guide, 'Using CloudWatch Logs with Lambda').
_PLATFORM = re.compile(r"(START|END|REPORT|INIT_START|INIT_REPORT|EXTENSION|TELEMETRY|RESTORE_\w+) ")
_PLATFORM_ID = re.compile(r"RequestId: ([0-9a-f-]{36})")
_TIMED_OUT = re.compile(r"\S+ ([0-9a-f-]{36}) Task timed out after ")
_FAILURE = re.compile(r"Task timed out after|Status: (?:error|timeout)|Runtime\.\w+|\bError: |Traceback|^\[ERROR\]")


class Kind(StrEnum):
    """Writer of a line: the code of a function, Lambda, the metric format, API Gateway, or another one."""

    record = "record"
    platform = "platform"
    metrics = "metrics"
    access = "access"
    text = "text"


@dataclass(frozen=True)
class Entry:
    """One log event.

    Attributes
    ----------
    timestamp
        Milliseconds since 1970.
    source
        ``function``, ``jobs``, ``bulk``, ``authorizer``, ``api``, or the end of another function's name.
    level
        One of `LEVELS`.
    request_ids
        Of the function, and of API Gateway where the access log names both.
    codes
        Problem codes of the request and of its items.
    fields
        Of a JSON line.
    """

    timestamp: int
    source: str
    group: str
    stream: str
    event_id: str
    message: str
    kind: Kind
    level: str
    request_ids: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()
    fields: Mapping[str, Any] = field(default_factory=dict)


def parse(source: str, group: str, event: Mapping[str, Any]) -> Entry:
    """Return the entry of an event of FilterLogEvents; text that is not a line of this project is an entry, too."""
    message = str(event.get("message", "")).rstrip("\n")
    kind, level, ids, codes, fields = _read(source, message)
    return Entry(
        timestamp=int(event.get("timestamp", 0)),
        source=source,
        group=group,
        stream=str(event.get("logStreamName", "")),
        event_id=str(event.get("eventId", "")),
        message=message,
        kind=kind,
        level=level,
        request_ids=ids,
        codes=codes,
        fields=fields,
    )


def _read(source: str, message: str) -> tuple[Kind, str, tuple[str, ...], frozenset[str], Mapping[str, Any]]:
    fields = _json_object(message)
    if fields is None:
        match = _PLATFORM_ID.search(message) or _TIMED_OUT.match(message)
        kind = Kind.platform if match or _PLATFORM.match(message) else Kind.text
        level = "ERROR" if _FAILURE.search(message) else "INFO"
        return kind, level, (match[1],) if match else (), frozenset(), {}
    if "_aws" in fields:
        return Kind.metrics, "DEBUG", (), frozenset(), fields
    named = (fields.get("request_id"), fields.get("function_request_id"))
    ids = tuple(item for item in named if isinstance(item, str) and item != "-")
    if source == "api":
        return Kind.access, "ERROR" if _status(fields) >= 500 else "INFO", ids, frozenset(), fields
    level = str(fields.get("level", "INFO"))
    items = fields.get("item_codes") or fields.get("codes")
    codes = frozenset(
        code for code in (fields.get("code"), *(items if isinstance(items, dict) else ())) if isinstance(code, str)
    )
    return Kind.record, level if level in LEVELS else "INFO", ids, codes, fields


def _status(fields: Mapping[str, Any]) -> int:
    status = str(fields.get("status", ""))
    return int(status) if status.isascii() and status.isdecimal() and len(status) <= 3 else 0


def _json_object(message: str) -> dict[str, Any] | None:
    if not message.startswith("{"):
        return None
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
