"""Asynchronous invocations of the local cloud, by the sentences of Lambda's documentation.

Each test quotes the sentence that it holds ('Invoke' of the Lambda API reference; 'How Lambda handles errors and
retries with asynchronous invocation' and 'Configuring error handling settings' of the developer guide).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.ministack.lambda_async import MAX_EVENT_BYTES, Delivery, _limiting_events

FUNCTION_ERROR = {"error": True, "function_error": "Unhandled"}
THROTTLED = {"error": True, "throttle": True}
SYSTEM_ERROR = {"error": True, "http_status": 500}
SUCCESS: dict[str, Any] = {"body": None}


class Queue:
    """Lambda's event queue with a fake clock: outcomes of attempts, and when they were made."""

    def __init__(self, delivery: Delivery, outcomes: Iterator[dict[str, Any]]) -> None:
        self.now, self.attempts = 0.0, []
        self._outcomes = outcomes
        self.end = delivery.deliver(self._attempt, self._sleep, lambda: self.now)

    def _attempt(self) -> dict[str, Any]:
        self.attempts.append(self.now)
        return next(self._outcomes)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def forever(outcome: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        yield outcome


def test_an_error_of_the_function_is_tried_two_more_times() -> None:
    """'If the function returns an error, by default Lambda attempts to run it two more times, with a one-minute wait
    between the first two attempts, and two minutes between the second and third attempts.'"""
    queue = Queue(Delivery(), forever(FUNCTION_ERROR))
    assert queue.attempts == [0, 60, 180]
    assert queue.end == "retries"


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (2, 3)])
def test_retry_attempts_are_a_setting(retries: int, attempts: int) -> None:
    """'Retry attempts - The number of times Lambda retries when the function returns an error, between 0 and 2.'"""
    assert len(Queue(Delivery(retries=retries), forever(FUNCTION_ERROR)).attempts) == attempts


@pytest.mark.parametrize("failure", [THROTTLED, SYSTEM_ERROR])
def test_throttled_events_return_to_the_queue_for_six_hours(failure: dict[str, Any]) -> None:
    """'For throttling errors (429) and system errors (500-series), Lambda returns the event to the queue and attempts
    to run the function again for up to 6 hours by default. The retry interval increases exponentially from 1 second
    after the first attempt to a maximum of 5 minutes.'"""
    queue = Queue(Delivery(retries=0), forever(failure))
    waits = [later - earlier for earlier, later in zip(queue.attempts, queue.attempts[1:], strict=False)]
    assert waits[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert set(waits[10:]) == {300}
    assert queue.end == "age"
    assert 6 * 3600 - 300 < queue.now <= 6 * 3600


def test_an_event_is_discarded_at_its_maximum_age() -> None:
    """'MaximumEventAgeInSeconds: The maximum amount of time, in seconds, that Lambda keeps an event in the asynchronous
    event queue before discarding it.'"""
    queue = Queue(Delivery(age=60), forever(THROTTLED))
    assert queue.attempts == [0, 1, 3, 7, 15, 31]
    assert queue.end == "age"


def test_throttling_uses_up_no_retries() -> None:
    outcomes = iter([THROTTLED, THROTTLED, FUNCTION_ERROR, FUNCTION_ERROR, SUCCESS])
    queue = Queue(Delivery(retries=2), outcomes)
    assert queue.attempts == [0, 1, 3, 63, 183]
    assert queue.end == "succeeded"


def test_settings_belong_to_what_was_invoked() -> None:
    """'Use the Lambda console or AWS CLI to configure error handling settings on a function, a version, or an
    alias.'"""
    settings = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 300}
    function = {"event_invoke_configs": {"live": settings}}
    assert Delivery.of(function, "live") == Delivery(0, 300)
    assert Delivery.of(function, "") == Delivery.of({}, "live") == Delivery(2, 21600)


def invoke(size: int, kind: str) -> Any:
    async def accepted(*_: Any) -> Any:
        return 202, {}, b""

    headers = {"Content-Length": str(size), "X-Amz-Invocation-Type": kind}
    coroutine = _limiting_events(accepted)("name", {}, headers, "live", {})
    # It awaits nothing: an event loop would open sockets.
    with pytest.raises(StopIteration) as returned:
        coroutine.send(None)
    return returned.value.value


def test_an_event_may_have_one_megabyte() -> None:
    """'For synchronous invocations, the maximum payload size is 6 MB. For asynchronous invocations, the maximum payload
    size is 1 MB.'"""
    assert invoke(MAX_EVENT_BYTES, "Event")[0] == 202
    assert invoke(MAX_EVENT_BYTES + 1, "RequestResponse")[0] == 202
    status, headers, body = invoke(MAX_EVENT_BYTES + 1, "Event")
    assert (status, headers["X-Amzn-ErrorType"]) == (413, "RequestTooLargeException")
    assert str(MAX_EVENT_BYTES) in json.loads(body)["message"]
