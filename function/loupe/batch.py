"""Several pictures in one request: fetched and decoded in parallel, run through the model together, in time.

Every item has its own outcome. Memory is bounded: at most `WORKERS` files are held at once, and the pictures that are
being decoded have together no more pixels than one picture may have.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING

from loupe.errors import DeadlineExceeded, InternalError, Problem
from loupe.formats import declared_size, media_type_of
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loupe.classifier import Classifier
    from loupe.prediction import Prediction
    from loupe.request import Source
    from loupe.source import Sources
    from loupe.tensor import Tensor

WORKERS = 8
# Items that go through the model together: enough to spread the fixed cost of a run, few enough to stop in time.
MODEL_BATCH = 8
_IDLE_SECONDS = 0.02


class PixelBudget:
    """How many pixels may be decoded at once. One picture always may, so none waits for ever."""

    def __init__(self, pixels: int) -> None:
        self._limit, self._held, self._changed = pixels, 0, threading.Condition()

    @contextmanager
    def hold(self, pixels: int, deadline: float) -> Iterator[None]:
        """Wait until ``pixels`` fit; `DeadlineExceeded` if they do not before ``deadline`` (monotonic seconds)."""
        with self._changed:
            fits = self._changed.wait_for(
                lambda: self._held == 0 or self._held + pixels <= self._limit, max(0.0, deadline - time.monotonic())
            )
            if not fits:
                raise _too_late()
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


class Batch:
    """One batch on its way. ``outcomes`` are in the items' order; ``deadline`` is in monotonic seconds."""

    def __init__(self, classifier: Classifier, sources: Sources, stages: Stages, deadline: float) -> None:
        self._classifier, self._sources, self._stages, self._deadline = classifier, sources, stages, deadline
        self._budget = PixelBudget(classifier.limits.max_pixels)
        self._outcomes: dict[int, Prediction | Problem] = {}
        self._ready: list[tuple[int, Tensor]] = []
        self._seconds_an_item = 0.0

    def run(self, items: Sequence[Source | Problem]) -> list[Prediction | Problem]:
        """Classify the items. What is not done by the deadline is `DeadlineExceeded`; nothing is raised."""
        pool = ThreadPoolExecutor(min(WORKERS, len(items)), "loupe-batch")
        try:
            pending: dict[Future[tuple[Tensor, Stages]], int] = {}
            for index, item in enumerate(items):
                if isinstance(item, Problem):
                    self._outcomes[index] = item
                else:
                    pending[pool.submit(self._prepare, item)] = index
            while pending and self._left() > 0:
                done, _ = wait(pending, self._patience(), FIRST_COMPLETED)
                for future in done:
                    self._collect(pending.pop(future), future)
                self._run_model(rest=not pending or not done)
        finally:
            # Who is still at work ends by its own time-outs; nobody waits for it.
            pool.shutdown(wait=False, cancel_futures=True)
        return [self._outcomes.get(index) or _too_late() for index in range(len(items))]

    def _prepare(self, source: Source) -> tuple[Tensor, Stages]:
        stages = Stages()
        if self._left() <= 0:
            raise _too_late()
        with stages("source"):
            data = self._sources.read(source)
        with self._budget.hold(pixels_of(data, self._classifier.limits.max_pixels), self._deadline):
            return self._classifier.prepare(data, stages), stages

    def _collect(self, index: int, future: Future[tuple[Tensor, Stages]]) -> None:
        error = future.exception()
        if error is None:
            tensor, stages = future.result()
            self._stages.add(stages)
            self._ready.append((index, tensor))
        elif isinstance(error, Problem):
            self._outcomes[index] = error
        elif isinstance(error, Exception):
            self._outcomes[index] = InternalError.hiding(error)
        else:
            raise error

    def _run_model(self, *, rest: bool) -> None:
        """Run what is ready: the first item alone, to learn what one costs; then whole batches, and last the rest."""
        self._ready.sort(key=itemgetter(0))
        while self._ready:
            size = MODEL_BATCH if self._seconds_an_item else 1
            if len(self._ready) < size and not rest:
                return
            left = self._left()
            if self._seconds_an_item:
                size = min(size, int(left / self._seconds_an_item))
            if left <= 0 or size < 1:
                return
            part, self._ready = self._ready[:size], self._ready[size:]
            begun = time.monotonic()
            with self._stages("model"):
                rows = self._classifier.run([tensor for _, tensor in part])
            self._seconds_an_item = max((time.monotonic() - begun) / len(part), 1e-6)
            self._outcomes.update(zip((index for index, _ in part), rows, strict=True))

    def _patience(self) -> float:
        """Seconds to wait for more: not long where the model could have something to do meanwhile."""
        return min(self._left(), _IDLE_SECONDS) if self._ready else self._left()

    def _left(self) -> float:
        return self._deadline - time.monotonic()


def pixels_of(data: bytes, most: int) -> int:
    """Return width x height by a file's header, or ``most`` where it does not say; for the budget only."""
    media_type = media_type_of(data)
    if media_type is None:
        return 0
    size = declared_size(data, media_type)
    return most if size is None else min(most, size[0] * size[1])


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("This item was not processed in time: send it again.")
