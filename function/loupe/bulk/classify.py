"""Classify many objects of S3 within one invocation, and keep of each only its row."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from loupe.bulk.rows import problem_row, result_row
from loupe.errors import DeadlineExceeded, InternalError, Problem, ResultTooLarge, S3Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.bulk.items import Item
    from loupe.prediction import Prediction
    from loupe.service import ClassificationService
    from loupe.service import Item as ServiceItem
    from loupe.sources import Sources
    from loupe.stages import Stages

# Rows of one invocation, held until they are written.
MAX_ROW_BYTES = 64 * 1024 * 1024
# S3 asks to slow down for a moment: such objects are read again, after a pause that grows and varies.
ATTEMPTS = 3
_FIRST_PAUSE_SECONDS = 0.5
# An image whose bytes were there for this long without an outcome stops every attempt.
STUCK_SECONDS = 20.0


class Rows(NamedTuple):
    """Outcomes of the items.

    Attributes
    ----------
    lines
        Rows by index.
    unfinished
        Items without a row: there was no time for them.
    stuck
        Those of them whose objects were read at least `STUCK_SECONDS` before the deadline, so S3 is not the cause.
    unavailable
        Items whose objects S3 did not give in any attempt; they have rows, too.
    faulty
        Items that met an unexpected exception; they have rows, too.
    fault
        The problem of the first of those, for the log.
    """

    lines: dict[int, bytes]
    unfinished: list[Item]
    stuck: list[Item]
    unavailable: list[Item]
    faulty: list[Item]
    fault: Problem | None


def classify_items(
    service: ClassificationService,
    sources: Sources,
    items: Sequence[Item],
    *,
    top: int | None,
    deadline: float,
    request_id: str,
    stages: Stages,
) -> Rows:
    """Classify items until a deadline (monotonic seconds).

    Objects are read ahead, decoded in parallel and run through the model together, as `loupe.batch` bounds it. A row is
    made as soon as its image is classified, so that no more than the rows are held. Where a decoder is still running at
    the deadline, the process is replaced after the invocation (`loupe.restart`).
    """
    rows = Rows({}, [], [], [], [], None)
    size = 0
    # Index -> when the object had been read.
    read_at: dict[int, float] = {}

    def keep(part: Sequence[Item], index: int, prediction: Prediction) -> Prediction | Problem:
        nonlocal size
        line = result_row(part[index], prediction, top)
        if size + len(line) > MAX_ROW_BYTES:
            return ResultTooLarge("The rows of the batch have become too large. Ask for fewer scores with top.")
        size += len(line)
        rows.lines[part[index].index] = line
        return prediction._replace(scores=())

    waiting, unfinished_decoders, fault = list(items), 0, None
    for attempt in range(1, ATTEMPTS + 1):
        result = service.classify_many(
            [_reader(sources, item, read_at) for item in waiting],
            deadline=deadline,
            stages=stages,
            keep=partial(keep, waiting),
        )
        unfinished_decoders += result.unfinished_decoders
        again = []
        for item, outcome in zip(waiting, result.outcomes, strict=True):
            if not isinstance(outcome, Problem):
                continue
            if isinstance(outcome, DeadlineExceeded):
                rows.unfinished.append(item)
            elif isinstance(outcome, S3Unavailable) and attempt < ATTEMPTS:
                again.append(item)
            else:
                rows.lines[item.index] = problem_row(item, outcome, request_id)
                if isinstance(outcome, S3Unavailable):
                    rows.unavailable.append(item)
                elif isinstance(outcome, InternalError):
                    rows.faulty.append(item)
                    fault = fault or outcome
        waiting = again
        if not waiting:
            break
        # Full jitter: environments that were throttled together do not retry together.
        pause = _FIRST_PAUSE_SECONDS * 2**attempt * random.random()  # noqa: S311 (not for security)
        time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
    if unfinished_decoders:
        from loupe import restart

        # A thread cannot be stopped; it would use CPU time of the next batch.
        restart.after_response()
    stuck = [item for item in rows.unfinished if deadline - read_at.get(item.index, deadline) >= STUCK_SECONDS]
    return rows._replace(stuck=stuck, fault=fault)


def _reader(sources: Sources, item: Item, read_at: dict[int, float]) -> ServiceItem:
    if item.source is None:
        assert item.problem is not None  # noqa: S101 (an item has one of the two)
        return item.problem
    source = item.source

    def read(*, seconds: float | None) -> bytes:
        content = sources.read(source, seconds=seconds)
        read_at[item.index] = time.monotonic()
        return content

    return read
