"""Replace the function's process after the response to a request that left threads running.

A decoding thread cannot be stopped from outside. Lambda freezes an execution environment after a response and thaws it
for the next request, so the thread would run during that request. The process is replaced by ``execve`` in between:
after the runtime client has posted the response, before it asks for the next event. All threads end, the process id
stays, and the runtime asks for its next event a little later (one INIT). Exiting instead would count as a crash
(``Runtime.ExitError``), and would fail the next request if its event had arrived.

Imported only by a request that left threads running.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from loupe.after_response import before_next_event

INITIALIZATION = "LOUPE_INITIALIZATION"
_TYPE = "AWS_LAMBDA_INITIALIZATION_TYPE"


def after_response() -> bool:
    """Replace the process before it asks for its next event.

    Returns
    -------
    bool
        Whether it will be replaced: false if no supported runtime client is loaded.
    """
    return before_next_event(_replace)


def _replace() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    if isolated := sys.modules.get("loupe.decoders.isolated"):
        isolated.end_children()
    environment = {**_first_environment(), INITIALIZATION: "restart"}
    if environment.get(_TYPE) == "snap-start":
        # With this value the runtime client would announce its snapshot (restore/next) to an environment that was
        # restored long ago, which is an error there and ends it.
        environment[_TYPE] = "on-demand"
    os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 (this program again, with its own arguments)


def _first_environment() -> dict[str, str]:
    """Return the variables that this process was started with: the runtime client removes some of its own."""
    try:
        variables = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    pairs = (os.fsdecode(variable).partition("=") for variable in variables if variable)
    return {name: value for name, _, value in pairs}
