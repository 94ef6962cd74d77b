"""Entries as lines for people, and as JSON. Nothing of a log reaches the terminal without being made plain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tools.logs.entries import Entry, Kind
from tools.operations.plain import plain

# Characters of a line's details and of a stack trace's line; --json has everything.
_MAX_CHARACTERS = 600
_MAX_TRACE_LINES = 60
_SHOWN_ELSEWHERE = {
    "level", "message", "timestamp", "time", "service", "environment", "request_id", "route", "method", "path",
    "status", "code", "duration_ms", "latency_ms", "exception",
}  # fmt: skip
# Of every request: they would hide what differs.
_LEFT_OUT = {
    "trigger", "stages_ms", "xray_trace_id", "model", "model_version", "model_variant", "initialization", "processor",
    "exception_name",
}  # fmt: skip


def as_json(entry: Entry) -> str:
    """Return an entry as one line of JSON, with the message as it was logged."""
    return json.dumps(
        {
            "timestamp": _clock(entry.timestamp),
            "source": entry.source,
            "level": entry.level,
            "log_group": entry.group,
            "log_stream": entry.stream,
            "message": entry.message,
        }
    )


def as_lines(entry: Entry) -> Iterator[str]:
    """Return an entry as lines: time, level, source, route, status or code, duration, request id, what else is known.

    Further lines of a message or a stack trace are indented, so that none of them can pass for an entry.
    """
    head = f"{_clock(entry.timestamp)} {entry.level:<7} {entry.source:<10}"
    if entry.kind in (Kind.record, Kind.access):
        yield f"{head} {_record(entry)}"
        yield from _indented(str(entry.fields.get("exception", "")).splitlines())
        return
    first, *rest = entry.message.replace("\t", "  ").splitlines() or [""]
    yield f"{head} {_short(first)}"
    yield from _indented(rest)


def _indented(lines: list[str]) -> Iterator[str]:
    for line in lines[:_MAX_TRACE_LINES]:
        yield f"    | {_short(line)}"
    if len(lines) > _MAX_TRACE_LINES:
        yield f"    | ... {len(lines) - _MAX_TRACE_LINES} more lines (--json shows them)"


def _record(entry: Entry) -> str:
    fields = entry.fields
    if entry.kind is Kind.access:
        what = f"{fields.get('method', '')} {fields.get('path', '')}".strip()
    else:
        what = str(fields.get("route") or fields.get("message", ""))
    outcome = " ".join(str(fields[name]) for name in ("status", "code") if fields.get(name) not in (None, "", "-"))
    milliseconds = fields.get("duration_ms", fields.get("latency_ms"))
    duration = "" if milliseconds in (None, "-") else f"{milliseconds} ms"
    if not outcome and entry.kind is Kind.record and "route" in fields:
        outcome = "ok"
    parts = [what, outcome, duration, str(fields.get("request_id", "")), *_details(fields)]
    return _short("  ".join(part for part in parts if part))


def _details(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        if name in _SHOWN_ELSEWHERE or name in _LEFT_OUT or value in (None, "", "-", False):
            continue
        if value is True:
            yield name
        else:
            yield f"{name}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"


def _short(text: str) -> str:
    safe = plain(text[:_MAX_CHARACTERS])
    return f"{safe}..." if len(text) > _MAX_CHARACTERS else safe


def _clock(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
