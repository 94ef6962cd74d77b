"""One invocation of the bulk function: a batch of a job or messages about new objects, in the time that there is."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from loupe.log import trace, write_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.bulk.batch import BatchProcessor
    from loupe.bulk.classify import Rows
    from loupe.bulk.uploads import UploadOutcome, UploadProcessor
    from loupe.lambda_context import Context
    from loupe.stages import Stages


_LOGGED = ("first", "last", "rows", "failed", "skipped", "codes", "duration_ms")
# Seconds kept for writing the rows: a tenth of the invocation's time, within these bounds.
WRITE_SECONDS = (1.0, 20.0)


def deadline_of(seconds: float, restart_seconds: float) -> float:
    """Return when images have to be done, in monotonic seconds.

    Parameters
    ----------
    seconds
        Until Lambda ends the invocation.
    restart_seconds
        What replacing the process takes, if a decoder is still running: part of the invocation, too.
    """
    reserved = min(max(seconds / 10, WRITE_SECONDS[0]), WRITE_SECONDS[1]) + min(restart_seconds, seconds / 4)
    return time.monotonic() + seconds - reserved


class BulkLog:
    """Logs batches of one environment: no key of an object and no text of a caller."""

    def __init__(self, environment: str) -> None:
        self._environment = environment

    def batch(self, job_id: str, result: Mapping[str, Any] | None, rows: Rows, stages: Stages) -> None:
        """Log a finished batch, or (None) one that another attempt continues.

        ``stages_ms`` adds up what threads did at once, except for ``model`` and ``store`` (reading and writing rows).
        """
        fields: dict[str, Any] = {"job": job_id}
        if result is None:
            fields |= {"unfinished": len(rows.unfinished)}
        else:
            fields |= {name: result[name] for name in _LOGGED}
        fields["stages_ms"] = {name: round(value, 1) for name, value in stages.milliseconds.items()}
        if rows.fault is not None:
            fields["exception"] = trace(rows.fault)
        level = "ERROR" if rows.fault is not None else "INFO"
        write_log("loupe-bulk", self._environment, level, "batch unfinished" if result is None else "batch", fields)

    def uploads(self, messages: int, outcome: UploadOutcome) -> None:
        """Log messages about new objects."""
        fields: dict[str, Any] = {"messages": messages, "failed": len(outcome.failed)}
        if outcome.fault is not None:
            fields["exception"] = trace(outcome.fault)
        write_log("loupe-bulk", self._environment, "ERROR" if outcome.fault else "INFO", "uploads", fields)


class Invocations:
    """Handles the bulk function's events."""

    def __init__(self, batches: BatchProcessor, uploads: UploadProcessor, log: BulkLog, restart_seconds: float) -> None:
        self._batches, self._uploads, self._log, self._restart_seconds = batches, uploads, log, restart_seconds

    def run(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Process a map's batch (``Items``) or messages of SQS (``Records``).

        Raises
        ------
        loupe.bulk.batch.BatchUnfinished
            For the retry of the state machine.
        ValueError
            If the event is neither.
        """
        if "Sampled=1" not in os.environ.get("_X_AMZN_TRACE_ID", ""):
            return self._run(event, context)
        from loupe import tracing

        return tracing.traced_batch(lambda: self._run(event, context))

    def _run(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        deadline = deadline_of(context.get_remaining_time_in_millis() / 1e3, self._restart_seconds)
        if "Items" in event and "BatchInput" in event:
            return self._batches.run(event, deadline, context.aws_request_id)
        if "Records" in event:
            records = event["Records"]
            outcome = self._uploads.run(records, deadline, context.aws_request_id)
            self._log.uploads(len(records), outcome)
            return {"batchItemFailures": [{"itemIdentifier": message} for message in outcome.failed]}
        raise ValueError("the event is neither a batch of a job nor a batch of messages")
