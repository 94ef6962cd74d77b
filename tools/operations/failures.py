"""AWS's failures in the words of the operator's commands."""

from __future__ import annotations

from tools.doctor.aws import CallError


def sentence(failure: CallError) -> str:
    """Return what failed and what to do, in one line."""
    if failure.denied:
        return f"not permitted: {failure.operation}"
    if failure.throttled:
        return f"throttled: {failure.operation}; run it again in a minute"
    return f"{failure.summary} {failure.action}"
