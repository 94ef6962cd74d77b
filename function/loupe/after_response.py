"""Work between a response and the next event: after the runtime client has posted the response of an invocation.

The client of an endpoint has its response by then, but the work is part of the invocation: it is billed, it counts for
the timeout, and the execution environment takes no other event meanwhile. A thread cannot do it, because Lambda freezes
the environment as soon as the runtime asks for the next event (AWS Compute Blog, 'Running code after returning a
response from an AWS Lambda function'). `loupe.restart` uses the same place.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# The runtime interface client of the AWS base image, and its method for the next event (awslambdaric, bootstrap.py).
_CLIENT_MODULE = "awslambdaric.lambda_runtime_client"
_CLIENT, _NEXT = "LambdaRuntimeClient", "wait_next_invocation"


def before_next_event(hook: Callable[[], None]) -> bool:
    """Call ``hook`` each time before the process asks for its next event, after the hooks that were added before.

    Returns
    -------
    bool
        Whether it will be called: false if no supported runtime client is loaded.
    """
    client = getattr(sys.modules.get(_CLIENT_MODULE), _CLIENT, None)
    wait_next = getattr(client, _NEXT, None)
    if not callable(wait_next):
        return False

    hooks: list[Callable[[], None]] | None = getattr(wait_next, "hooks", None)
    if hooks is not None:
        hooks.append(hook)
        return True
    hooks = [hook]

    @wraps(wait_next)
    def call_hooks(*arguments: Any, **options: Any) -> Any:
        for call in hooks:
            call()
        return wait_next(*arguments, **options)

    call_hooks.hooks = hooks  # type: ignore[attr-defined]
    setattr(client, _NEXT, call_hooks)
    return True
