"""Log lines of the jobs function: JSON on stdout. No text of a caller is logged, and no job's source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loupe.log import trace, write_log

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
        fields["exception"] = trace(problem)
    write_log("loupe-jobs", environment, "ERROR" if status >= 500 else "INFO", "job request", fields)
