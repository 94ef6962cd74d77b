"""Error messages of the operator's commands."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from tools.doctor.aws import CallError
from tools.operations.plain import plain


def sentence(failure: CallError) -> str:
    """Return what failed and what to do, in one line."""
    if failure.denied:
        return f"not permitted: {failure.operation}"
    if failure.throttled:
        return f"throttled: {failure.operation}; run it again in a minute"
    return f"{failure.summary} {failure.action}"


def fail(text: str) -> NoReturn:
    """Print an error message and exit with 2."""
    print(f"error: {plain(text)}", file=sys.stderr)
    raise typer.Exit(2)
