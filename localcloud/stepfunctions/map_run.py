"""A Map Run: child executions started as the reader delivers, counted, stopped together, and redriven.

Source: Step Functions developer guide, 'Using Map state in Distributed mode', 'Viewing Map Runs' and 'Redriving Map
Runs'; API reference of DescribeMapRun.
"""

from __future__ import annotations

import itertools
import logging
import uuid
from collections import deque
from dataclasses import dataclass
from functools import partial
from threading import Condition
from typing import TYPE_CHECKING, Any

from localcloud.stepfunctions.limits import (
    MAX_CHILDREN,
    MAX_ITEMS,
    MAX_REDRIVES,
    RUNTIME,
    TOLERANCE_EXCEEDED,
    AbortedError,
    StatesError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from localcloud.stepfunctions.batches import ChildInput

log = logging.getLogger(__name__)
# Threads on this machine; AWS runs up to MAX_CHILDREN.
MACHINE_CHILDREN = 128
UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")
_COUNTER = {
    "PENDING": "pending",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "timedOut",
    "ABORTED": "aborted",
}
_COUNTERS = (*_COUNTER.values(), "total", "resultsWritten", "failuresNotRedrivable", "pendingRedrive")


@dataclass(frozen=True)
class Tolerance:
    """Tolerated failures of a run; without a tolerance, one failed child fails it."""

    count: int | None = None
    percentage: float | None = None

    def exceeded(self, failed: int, total: int) -> bool:
        if not failed:
            return False
        if self.count is None and self.percentage is None:
            return True
        over_count = self.count is not None and failed > self.count
        return over_count or (self.percentage is not None and failed * 100 > self.percentage * total)


@dataclass(frozen=True)
class Environment:
    """Dependencies of a run.

    Attributes
    ----------
    batches
        Inputs of all children, from the first; the same again when called again. Raises StatesError while read.
    execute
        Run one child to its end and return its output. Raises StatesError, or AbortedError if it was stopped.
    spawn
        Run a function in a thread that keeps the caller's account and role.
    register
        Make a started child known to DescribeExecution and ListExecutions.
    """

    batches: Callable[[], Iterator[ChildInput]]
    execute: Callable[[dict[str, Any]], str]
    spawn: Callable[[Callable[[], None]], None]
    register: Callable[[dict[str, Any]], None]
    now: Callable[[], str]


class MapRun:
    """One run and its children.

    Parameters
    ----------
    parent
        Record of the execution that the map is a state of.
    label
        Of the map state: part of the ARNs.
    """

    def __init__(
        self, parent: dict[str, Any], label: str, concurrency: int, tolerance: Tolerance, environment: Environment
    ) -> None:
        head, _, name = parent["stateMachineArn"].rpartition(":stateMachine:")
        self.arn = f"{head}:mapRun:{name}/{label}:{uuid.uuid4()}"
        self._child_arn = f"{head}:execution:{name}/{label}"
        self._machine_arn = f"{head}:stateMachine:{name}/{label}"
        self._environment = environment
        self._changed = Condition()
        self._pending: deque[dict[str, Any]] = deque()
        self._read = False
        self._error: StatesError | None = None
        self.children: list[dict[str, Any]] = []
        self.record: dict[str, Any] = {
            "mapRunArn": self.arn,
            "executionArn": parent["executionArn"],
            "status": "RUNNING",
            "startDate": environment.now(),
            "maxConcurrency": concurrency,
            "toleratedFailurePercentage": tolerance.percentage or 0.0,
            "toleratedFailureCount": tolerance.count or 0,
            "itemCounts": dict.fromkeys(_COUNTERS, 0),
            "executionCounts": dict.fromkeys(_COUNTERS, 0),
            "redriveCount": 0,
            "_stateMachineArn": self._machine_arn,
        }
        self._tolerance = tolerance

    def run(self) -> None:
        """Run until every child has ended, too many have failed, or the run is stopped.

        Raises
        ------
        StatesError
            Of the reader, or ``States.ExceedToleratedFailureThreshold``.
        AbortedError
            If the run was stopped.
        """
        if not self._read:
            attempt = self.record["redriveCount"]
            self._environment.spawn(partial(self._read_on, attempt))
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over() or self._may_start())
                if self._over():
                    break
                child = self._pending.popleft()
                self._move(child, "RUNNING")
                child["startDate"] = self._environment.now()
            self._environment.register(child)
            self._environment.spawn(partial(self._process, child, child["redriveCount"]))
        self._close()

    def stop(self) -> None:
        """Stop the run: children that run are aborted, what did not start stays pending."""
        with self._changed:
            if self.record["status"] == "RUNNING":
                self._end("ABORTED")

    def redrive(self) -> None:
        """Make a run that ended unsuccessfully ready to `run` again; successful children are kept.

        Raises
        ------
        StatesError
            ``States.Runtime`` after 1000 redrives.
        """
        with self._changed:
            if self.record["redriveCount"] >= MAX_REDRIVES:
                raise StatesError(RUNTIME, f"The Map Run has been redriven {MAX_REDRIVES} times.")
            self.record["redriveCount"] += 1
            self.record |= {"status": "RUNNING", "redriveDate": self._environment.now()}
            self.record.pop("stopDate", None)
            self._error = None
            again = [child for child in self.children if child["status"] in UNSUCCESSFUL]
            for child in again:
                self._move(child, "PENDING")
                self._count("pendingRedrive", child, 1)
                child["redriveCount"] += 1
                child |= {"stopDate": None, "error": None, "cause": None}
            self._pending.extendleft(reversed(again))

    def written(self) -> None:
        """Count what the ResultWriter wrote."""
        for child in self.children:
            if not child.get("_written") and child["status"] not in ("PENDING", "RUNNING"):
                child["_written"] = True
                self._count("resultsWritten", child, 1)

    def fail(self) -> None:
        """The children are done, but the run is not: its results could not be written."""
        self.record["status"] = "FAILED"

    def _read_on(self, attempt: int) -> None:
        """Add the children that the dataset still holds; a redrive continues reading in its own thread."""
        try:
            for batch in itertools.islice(self._environment.batches(), len(self.children), None):
                with self._changed:
                    if self.record["status"] != "RUNNING" or self.record["redriveCount"] != attempt:
                        return
                    self._add(batch)
            failure = None
        except StatesError as error:
            failure = error
        except Exception as error:  # an entry point: the thread of the reader, without which the run would wait forever
            log.exception("the reader of %s ended by an error of the emulator", self.arn)
            failure = StatesError(RUNTIME, str(error))
        with self._changed:
            if self.record["redriveCount"] == attempt:
                self._read, self._error = failure is None, failure
                self._changed.notify_all()

    def _add(self, batch: ChildInput) -> None:
        if self.record["itemCounts"]["total"] + batch.items > MAX_ITEMS:
            raise StatesError(RUNTIME, f"A Map Run has at most {MAX_ITEMS} items.")
        name = str(uuid.uuid4())
        child: dict[str, Any] = {
            "executionArn": f"{self._child_arn}:{name}",
            "stateMachineArn": self._machine_arn,
            "name": name,
            "status": "PENDING",
            "startDate": None,
            "stopDate": None,
            "input": batch.text,
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "mapRunArn": self.arn,
            "itemCount": batch.items,
            "redriveCount": 0,
            "events": [],
        }
        self.children.append(child)
        self._pending.append(child)
        for counter in ("total", "pending"):
            self._count(counter, child, 1)
        self._changed.notify_all()

    def _process(self, child: dict[str, Any], attempt: int) -> None:
        outcome: dict[str, Any]
        try:
            outcome = {"status": "SUCCEEDED", "output": self._environment.execute(child)}
        except StatesError as error:
            outcome = {"status": "FAILED", "error": error.error, "cause": error.cause}
        except AbortedError:
            return
        except Exception as error:  # an entry point: the thread of a child
            log.exception("the child %s ended by an error of the emulator", child["executionArn"])
            outcome = {"status": "FAILED", "error": RUNTIME, "cause": str(error)}
        with self._changed:
            # The child was aborted in the meantime, or even started again: what it returned then is lost, as on AWS.
            if child["status"] != "RUNNING" or child["redriveCount"] != attempt:
                return
            self._move(child, outcome["status"])
            child |= outcome | {"stopDate": self._environment.now()}
            self._changed.notify_all()

    def _over(self) -> bool:
        counts = self.record["executionCounts"]
        return (
            self.record["status"] != "RUNNING"
            or self._error is not None
            or self._too_many_failed()
            or (self._read and not counts["pending"] and not counts["running"])
        )

    def _too_many_failed(self) -> bool:
        counts = self.record["executionCounts"]
        failed = counts["failed"] + counts["timedOut"]
        if self._tolerance.percentage and not self._read:
            return False
        return self._tolerance.exceeded(failed, counts["total"])

    def _may_start(self) -> bool:
        # UpdateMapRun changes the limit of a running map.
        limit = min(int(self.record["maxConcurrency"]) or MAX_CHILDREN, MACHINE_CHILDREN)
        return bool(self._pending) and self.record["executionCounts"]["running"] < limit

    def _close(self) -> None:
        with self._changed:
            if self.record["status"] != "RUNNING":
                raise AbortedError
            if self._error is not None:
                self._end("FAILED")
                raise self._error
            if self._too_many_failed():
                self._end("FAILED")
                failed = next(child for child in self.children if child["status"] == "FAILED")
                message = (
                    "The specified tolerated failure threshold was exceeded. First failed child: "
                    f"{failed['error']}: {failed['cause']}"
                )
                raise StatesError(TOLERANCE_EXCEEDED, message[:32_768])
            self._end("SUCCEEDED")

    def _end(self, status: str) -> None:
        now = self._environment.now()
        self.record |= {"status": status, "stopDate": now}
        for child in self.children:
            if child["status"] == "RUNNING":
                self._move(child, "ABORTED")
                child["stopDate"] = now
        self._changed.notify_all()

    def _move(self, child: dict[str, Any], status: str) -> None:
        if child["status"] == "PENDING" and child["redriveCount"] and status == "RUNNING":
            self._count("pendingRedrive", child, -1)
        self._count(_COUNTER[child["status"]], child, -1)
        child["status"] = status
        self._count(_COUNTER[status], child, 1)

    def _count(self, counter: str, child: dict[str, Any], change: int) -> None:
        self.record["itemCounts"][counter] += change * child["itemCount"]
        self.record["executionCounts"][counter] += change
