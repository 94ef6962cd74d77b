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
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# The runtime interface client of the AWS base image, and its method for the next event (awslambdaric, bootstrap.py).
_CLIENT_MODULE = "awslambdaric.lambda_runtime_client"
_CLIENT, _NEXT = "LambdaRuntimeClient", "wait_next_invocation"
INITIALIZATION = "LOUPE_INITIALIZATION"


def after_response() -> bool:
    """Replace the process before it asks for its next event.

    Returns
    -------
    bool
        Whether it will be replaced: false if no supported runtime client is loaded.
    """
    client = getattr(sys.modules.get(_CLIENT_MODULE), _CLIENT, None)
    wait_next = getattr(client, _NEXT, None)
    if not callable(wait_next):
        return False
    setattr(client, _NEXT, _replacing(wait_next))
    return True


def _replacing(wait_next: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(wait_next)
    def replace_first(*arguments: Any, **options: Any) -> Any:
        sys.stdout.flush()
        sys.stderr.flush()
        if isolated := sys.modules.get("loupe.decoders.isolated"):
            isolated.end_children()
        environment = {**_first_environment(), INITIALIZATION: "restart"}
        os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 (this program again, with its own arguments)
        return wait_next(*arguments, **options)  # pragma: no cover (execve does not return)

    return replace_first


def _first_environment() -> dict[str, str]:
    """Return the variables that this process was started with: the runtime client removes some of its own."""
    try:
        variables = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    pairs = (os.fsdecode(variable).partition("=") for variable in variables if variable)
    return {name: value for name, _, value in pairs}
