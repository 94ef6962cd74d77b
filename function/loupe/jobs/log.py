"""Log lines of the jobs function: JSON on stdout. No text of a caller is logged, and no job's source."""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from loupe.redaction import redacted

if TYPE_CHECKING:
    from loupe.errors import Problem


def log_request(
    environment: str, request_id: str, route: str, status: int, milliseconds: float, problem: Problem | None
) -> None:
    """Log one HTTP request; a fault of the function itself with its stack trace, redacted."""
    fields: dict[str, Any] = {
        "request_id": request_id,
        "route": route,
        "status": status,
        "duration_ms": round(milliseconds, 2),
    }
    if problem is not None:
        fields["code"] = problem.code
        if problem.__cause__ is not None:
            fields["cause"] = type(problem.__cause__).__name__
    if problem is not None and problem.status == 500:
        fields["exception"] = redacted("".join(traceback.format_exception(problem)))
    write_log(environment, "ERROR" if status >= 500 else "INFO", "job request", fields)


def write_log(environment: str, level: str, message: str, fields: dict[str, Any]) -> None:
    """Write one line."""
    clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"level": level, "message": message, "timestamp": clock, "service": "loupe-jobs", "environment": environment}
    sys.stdout.write(json.dumps({**line, **fields}, separators=(",", ":")) + "\n")
    sys.stdout.flush()
