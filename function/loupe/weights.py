"""Weights of an experiment that change without a deployment: read rarely, in bounded time; the last good ones stay.

The first request of an execution environment never waits for them: it is answered with the weights of the deployment.
A deployment whose weights change by deployment only does not import this module.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from loupe.experiment import WeightsError, parse_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class WeightSource(Protocol):
        """Where the text of the weights is."""

        def read(self) -> str:
            """Return the text, or raise `WeightsUnavailable`."""


# How long a request waits for a read. A read that takes longer continues beside later requests.
READ_SECONDS = 1.0
# Environments that started together do not read together: Parameter Store takes 40 reads per second (AWS General
# Reference, 'Systems Manager endpoints and quotas').
_JITTER = 0.2
# From the kernel: environments that SnapStart restores from one snapshot share the state of `random`.
_SPREAD = random.SystemRandom()


class WeightsUnavailable(Exception):  # noqa: N818 (named after the state, as the problems are)
    """The weights could not be read; ``reason`` is a word of this code, for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LiveWeights:
    """The weights in force in one execution environment, which serves one request at a time.

    Parameters
    ----------
    start
        Weights by arm until the first successful read.
    connect
        Creates the source; called by the first read, since it imports the AWS SDK. May raise `WeightsUnavailable`.
    interval
        Least number of seconds between the starts of two reads, successful or not.

    Attributes
    ----------
    weights
        By arm: those of the last good read.
    """

    def __init__(
        self,
        start: Mapping[str, int],
        connect: Callable[[], WeightSource],
        *,
        interval: float,
        seconds: float = READ_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.weights = dict(start)
        self._connect, self._interval, self._seconds, self._clock = connect, interval, seconds, clock
        self._source: WeightSource | None = None
        self._reading: _Reading | None = None
        self._first, self._due = True, 0.0

    def refresh(self) -> str:
        """Read the weights if that is due; every request of the experiment calls this before it chooses an arm.

        Returns
        -------
        str
            Why the read failed, once for each read: ``timeout``, ``invalid``, or a reason of the source. '' otherwise.
        """
        if self._first:
            self._first, self._due = False, self._clock()
            return ""
        if self._reading is not None and self._reading.done:
            # It was too late for an earlier request, which has reported it.
            self._take(self._reading)
        if self._clock() < self._due:
            return ""
        self._due = self._clock() + self._interval * (1 + _JITTER * _SPREAD.random())
        if self._reading is None:
            try:
                self._source = self._source or self._connect()
            except WeightsUnavailable as failure:
                return failure.reason
            self._reading = _Reading(self._source)
        self._reading.wait(self._seconds)
        return self._take(self._reading) if self._reading.done else "timeout"

    def _take(self, reading: _Reading) -> str:
        self._reading = None
        if reading.failure:
            return reading.failure
        try:
            self.weights = parse_weights(reading.text, tuple(self.weights))
        except WeightsError:
            return "invalid"
        return ""


def open_parameter(name: str) -> Callable[[], WeightSource]:
    """Return what creates the source of a parameter, and imports the AWS SDK."""

    def connect() -> WeightSource:
        from loupe.weights_parameter import connect

        return connect(name)

    return connect


class _Reading:
    """One read in a thread: a name lookup cannot be given a time limit."""

    def __init__(self, source: WeightSource) -> None:
        self._source = source
        self.text = self.failure = ""
        self._thread = threading.Thread(target=self._read, name="weights", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _read(self) -> None:
        try:
            self.text = self._source.read()
        except WeightsUnavailable as failure:
            self.failure = failure.reason
        except Exception as error:  # noqa: BLE001 (the thread's entry point: weights must not fail a request)
            self.failure = type(error).__name__
