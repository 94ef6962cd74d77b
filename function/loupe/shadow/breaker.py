"""Circuit breaker: after failures in a row nothing is sent for a while, then one attempt decides."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Failures in a row that open the circuit, and for how long.
FAILURES = 3
OPEN_SECONDS = 30.0


class CircuitBreaker:
    """State of one destination in one execution environment; used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._closed_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether nothing may be sent now."""
        return self._failures >= FAILURES and self._clock() < self._closed_at

    def success(self) -> None:
        self._failures = 0

    def failure(self) -> None:
        """Count a failure; the one after the pause opens the circuit again."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._closed_at = self._clock() + OPEN_SECONDS
