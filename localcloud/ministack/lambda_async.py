"""Asynchronous invocations inside MiniStack, as Lambda's developer guide describes them.

MiniStack takes events of any size, ignores the settings of an alias, and lets a throttled event use up the retries that
AWS keeps for errors of the function.

Sources: Lambda API reference, 'Invoke'; Lambda developer guide, 'How Lambda handles errors and retries with
asynchronous invocation' and 'Configuring error handling settings for Lambda asynchronous invocations'.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from contextvars import copy_context
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from localcloud.ministack.compatibility import LAMBDA
from localcloud.ministack.replacement import Replacement, original

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# 'For asynchronous invocations, the maximum payload size is 1 MB.' Not 2**20, which would be the kinder reading.
MAX_EVENT_BYTES = 1_000_000
# '... with a one-minute wait between the first two attempts, and two minutes between the second and third attempts.'
ERROR_WAITS = (60.0, 120.0)
# 'The retry interval increases exponentially from 1 second after the first attempt to a maximum of 5 minutes.'
FIRST_THROTTLED_WAIT, LONGEST_THROTTLED_WAIT = 1.0, 300.0
DEFAULT_RETRIES, DEFAULT_AGE = 2, 6 * 3600

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """How an event is delivered: attempts after errors of the function, and the seconds that it may wait."""

    retries: int = DEFAULT_RETRIES
    age: float = DEFAULT_AGE

    @classmethod
    def of(cls, function: Mapping[str, Any], qualifier: str) -> Delivery:
        """Read the settings of the alias, version or function that was invoked."""
        settings = (function.get("event_invoke_configs") or {}).get(qualifier) or {}
        return cls(
            int(settings.get("MaximumRetryAttempts", DEFAULT_RETRIES)),
            float(settings.get("MaximumEventAgeInSeconds", DEFAULT_AGE)),
        )

    def deliver(
        self,
        attempt: Callable[[], Mapping[str, Any]],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> str:
        """Run an event until it succeeds or is discarded.

        Returns
        -------
        str
            ``succeeded``, or why it was discarded: ``retries`` or ``age``.
        """
        queued, errors, throttled_wait = clock(), 0, FIRST_THROTTLED_WAIT
        while True:
            outcome = attempt()
            if not outcome.get("error"):
                return "succeeded"
            if outcome.get("function_error"):
                if errors >= self.retries:
                    return "retries"
                wait = ERROR_WAITS[min(errors, len(ERROR_WAITS) - 1)]
                errors += 1
            else:  # throttled, or a fault of Lambda itself
                wait, throttled_wait = throttled_wait, min(2 * throttled_wait, LONGEST_THROTTLED_WAIT)
            if clock() - queued + wait > self.age:
                return "age"
            sleep(wait)


def deliver_in_background(function: Mapping[str, Any], event: Any) -> None:
    """Deliver one event in its own thread; MiniStack has returned 202 by then."""
    config: Mapping[str, Any] = function.get("config") or function
    name = config["FunctionName"]
    _, _, qualifier = str(config.get("FunctionArn", "")).partition(f":function:{name}:")
    record = original(LAMBDA, "_get_func_record_for_ref")(name)[0] or {}
    delivery = Delivery.of(record, qualifier)

    def run() -> None:
        execute = original(LAMBDA, "_execute_function_with_config_scope")
        outcome = delivery.deliver(lambda: execute(function, event))
        if outcome != "succeeded":
            log.warning("an event of %s was discarded: %s", name, outcome)

    threading.Thread(target=copy_context().run, args=(run,), name=f"event-{name}", daemon=True).start()


def _limiting_events(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """Reject an event that is larger than the quota, before it is queued."""

    async def invoke_within_quota(name: str, event: Any, headers: Mapping[str, str], *rest: Any) -> Any:
        lowered = {key.lower(): value for key, value in headers.items()}
        size = int(lowered.get("content-length") or 0)
        if lowered.get("x-amz-invocation-type") == "Event" and size > MAX_EVENT_BYTES:
            message = f"{size} byte payload is too large for the Event invocation type (limit {MAX_EVENT_BYTES} bytes)"
            body = json.dumps({"Type": "User", "message": message}).encode()
            kind = {"Content-Type": "application/json", "X-Amzn-ErrorType": "RequestTooLargeException"}
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE.value, kind, body
        return await invoke(name, event, headers, *rest)

    return invoke_within_quota


def replacements() -> tuple[Replacement, ...]:
    """Replacements in MiniStack's Lambda."""
    return (
        Replacement(LAMBDA, "invoke_async_with_retry", lambda _: deliver_in_background),
        Replacement(LAMBDA, "_invoke", _limiting_events),
    )
