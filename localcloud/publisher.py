"""Queue of log lines and metrics for CloudWatch; one thread sends them in batches."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Iterable

# PutMetricData takes 1000 data at once, PutLogEvents 10,000 events (their API references).
METRICS_AT_ONCE = 1000
EVENTS_AT_ONCE = 10_000
INTERVAL_SECONDS = 0.5

log = logging.getLogger(__name__)


class Publisher:
    """Sends log lines and metrics as Lambda does. A failure to publish is logged and never reaches an invocation."""

    def __init__(self, logs: Any, cloudwatch: Any) -> None:
        self._logs, self._cloudwatch = logs, cloudwatch
        self._events: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self._metrics: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._streams: set[tuple[str, str]] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def log(self, group: str, stream: str, lines: Iterable[str]) -> None:
        now = int(time.time() * 1000)
        with self._lock:
            self._events[group, stream] += [{"timestamp": now, "message": line} for line in lines]

    def metrics(self, namespace: str, data: Iterable[dict[str, Any]]) -> None:
        with self._lock:
            self._metrics[namespace] += data

    def flush(self) -> None:
        """Send what is queued now."""
        with self._sending:
            with self._lock:
                events, self._events = self._events, defaultdict(list)
                metrics, self._metrics = self._metrics, defaultdict(list)
            for (group, stream), batch in events.items():
                self._send_events(group, stream, batch)
            for namespace, data in metrics.items():
                for start in range(0, len(data), METRICS_AT_ONCE):
                    self._attempt(
                        "metrics",
                        self._cloudwatch.put_metric_data,
                        Namespace=namespace,
                        MetricData=data[start : start + METRICS_AT_ONCE],
                    )

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(5.0)
        self.flush()

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_SECONDS):
            self.flush()

    def _send_events(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        names = {"logGroupName": group, "logStreamName": stream}
        if (group, stream) not in self._streams:
            # As Lambda does: it makes the group too if the stack has not.
            self._attempt("log group", self._logs.create_log_group, logGroupName=group)
            self._attempt("log stream", self._logs.create_log_stream, **names)
            self._streams.add((group, stream))
        for start in range(0, len(events), EVENTS_AT_ONCE):
            self._attempt(
                "log events", self._logs.put_log_events, logEvents=events[start : start + EVENTS_AT_ONCE], **names
            )

    def _attempt(self, what: str, send: Any, **arguments: Any) -> None:
        try:
            send(**arguments)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ResourceAlreadyExistsException":
                log.warning("%s not published: %s", what, error)
        except BotoCoreError as error:
            log.warning("%s not published: %s", what, error)
