"""Retry: which errors a retrier matches and how long it waits.

Source: Step Functions developer guide, 'Handling errors in Step Functions workflows'; Amazon States Language, 'Errors'.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from localcloud.stepfunctions.limits import TERMINAL_ERRORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_INTERVAL_SECONDS, DEFAULT_BACKOFF, DEFAULT_ATTEMPTS = 1.0, 2.0, 3
# The name by which an aborted child leaves its task; no retrier sees it.
ABORTED = "Loupe.Aborted"


def matches(names: Sequence[str], error: str) -> bool:
    """Whether ``ErrorEquals`` matches an error."""
    if error == ABORTED:
        return False
    if error in names:
        return True
    if "States.ALL" in names:
        return error not in TERMINAL_ERRORS
    return "States.TaskFailed" in names and error not in {"States.Timeout", *TERMINAL_ERRORS}


def delay_seconds(retrier: Mapping[str, Any], attempts: int, generator: random.Random) -> float:
    """Wait before the next attempt, in seconds.

    Parameters
    ----------
    attempts
        Retries of this retrier so far, from 0.
    """
    interval = float(retrier.get("IntervalSeconds", DEFAULT_INTERVAL_SECONDS))
    delay = interval * float(retrier.get("BackoffRate", DEFAULT_BACKOFF)) ** attempts
    delay = min(delay, float(retrier.get("MaxDelaySeconds", delay)))
    return generator.uniform(0.0, delay) if retrier.get("JitterStrategy") == "FULL" else delay


def find_retrier(
    retriers: Sequence[Mapping[str, Any]], error: str, counts: Mapping[int, int], generator: random.Random
) -> tuple[dict[str, Any] | None, int]:
    """The first retrier that matches, its wait fixed for this attempt; (None, -1) if it has no attempts left."""
    for index, retrier in enumerate(retriers):
        if matches(retrier.get("ErrorEquals", ()), error):
            used = counts.get(index, 0)
            if used >= retrier.get("MaxAttempts", DEFAULT_ATTEMPTS):
                return None, -1
            fixed = {"IntervalSeconds": delay_seconds(retrier, used, generator), "BackoffRate": 1.0}
            return {**retrier, **fixed}, index
    return None, -1
