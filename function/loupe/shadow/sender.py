"""Sends samples to the shadow function between a response and the next event: within bounds, and never raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loupe.shadow.breaker import CircuitBreaker
from loupe.shadow.sample import MAX_EVENT_BYTES, event_of, new_key
from loupe.telemetry import SHADOW_DROPPED, SHADOW_SENT, write_metrics

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from loupe.shadow.collector import Collector
    from loupe.shadow.sample import Sample
    from loupe.sources.connection import Deadline

    class Destination(Protocol):
        """Where samples go: `loupe.shadow.destination.AwsDestination`, or a fake."""

        def store(self, key: str, data: bytes, deadline: Deadline) -> None:
            """Put an image into the bucket, or raise `NotSent`."""

        def invoke(self, payload: bytes, deadline: Deadline) -> None:
            """Queue an event for the shadow function, or raise `NotSent`."""


# For all samples of an invocation together.
SEND_SECONDS = 0.5
# Remaining time of the invocation below which nothing is sent: Lambda ends an environment at the function's timeout.
NEEDED_SECONDS = SEND_SECONDS + 0.5


class NotSent(Exception):  # noqa: N818 (named after the outcome)
    """A sample was not accepted; ``reason`` is ``throttled``, ``rejected`` or ``unreachable``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sender:
    """Sends what a collector has taken.

    Parameters
    ----------
    connect
        Returns the destination; called with the first sample, after a response, because it imports TLS.
    dimensions
        Of its metrics: environment, champion, challenger.
    large
        Whether images above the size of an event are sent through the bucket.
    """

    def __init__(
        self, collector: Collector, connect: Callable[[], Destination], dimensions: Mapping[str, str], *, large: bool
    ) -> None:
        self._collector, self._connect = collector, connect
        self._destination: Destination | None = None
        self._dimensions, self._large = dimensions, large
        self._breaker = CircuitBreaker()
        self._milliseconds_left: Callable[[], int] | None = None

    def begin(self, milliseconds_left: Callable[[], int]) -> None:
        """Begin an invocation; ``milliseconds_left`` returns its remaining time."""
        self._milliseconds_left = milliseconds_left

    def flush(self) -> None:
        """Send what was taken since the last call, in about `SEND_SECONDS` at most, and count it. Never raises.

        An exception here would end the process: the runtime client calls it.
        """
        samples, dropped = self._collector.take()
        if not samples and not dropped:
            return
        try:
            self._report(self._send_all(samples, dropped), dropped)
        except Exception as error:  # noqa: BLE001 (an entry point: after the response)
            from loupe.log import trace

            self._log("ERROR", {"exception": trace(error)})

    def _send_all(self, samples: Sequence[Sample], dropped: Counter[str]) -> int:
        """Send samples; count those that were not sent by reason, and return how many were."""
        from loupe.sources.connection import Deadline

        left = self._milliseconds_left() / 1e3 if self._milliseconds_left else NEEDED_SECONDS
        deadline, sent = Deadline(SEND_SECONDS), 0
        for sample in samples:
            # Samples that were not sent for lack of time do not count as failures of the destination.
            late = left < NEEDED_SECONDS or deadline.passed
            reason = "timeout" if late else self._send(sample, deadline)
            if reason:
                dropped[reason] += 1
            else:
                sent += 1
        return sent

    def _send(self, sample: Sample, deadline: Deadline) -> str:
        """Send one sample; return why it was not sent, or nothing."""
        if self._breaker.is_open:
            return "circuit_open"
        try:
            if self._destination is None:
                self._destination = self._connect()
            # Base64 takes four characters for three bytes: what is larger need not be encoded first.
            event = event_of(sample) if sample.size <= MAX_EVENT_BYTES * 3 // 4 else b""
            if not event or len(event) > MAX_EVENT_BYTES:
                if not self._large or not isinstance(sample.image, bytes):
                    return "size"
                key = new_key()
                self._destination.store(key, sample.image, deadline)
                event = event_of(sample, key)
            self._destination.invoke(event, deadline)
        except NotSent as error:
            self._breaker.failure()
            return error.reason
        except Exception as error:  # noqa: BLE001 (an entry point: after the response)
            self._breaker.failure()
            return type(error).__name__
        self._breaker.success()
        return ""

    def _report(self, sent: int, dropped: Counter[str]) -> None:
        if dropped:
            fields = {"sent": sent, "dropped": dict(dropped), "circuit_open": self._breaker.is_open}
            self._log("WARNING", fields)
        counts = {SHADOW_SENT: ([sent], "Count"), SHADOW_DROPPED: ([dropped.total()], "Count")}
        write_metrics([(counts, self._dimensions)])

    def _log(self, level: str, fields: Mapping[str, Any]) -> None:
        from loupe.log import write_log

        write_log("loupe", self._dimensions["Environment"], level, "shadow samples dropped", fields)
