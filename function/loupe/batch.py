"""Several images in one request: fetched and decoded in parallel, run through the model together, in time.

Every item has its own outcome. Memory is bounded: at most `WORKERS` files are held at once, the images that are being
decoded have together no more pixels than one image may have, and tensors, with the copy that a run of the model takes,
have together at most `TENSOR_BYTES` (or one tensor and its copy, where that is larger).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from math import prod
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from loupe.errors import DeadlineExceeded, InternalError, Problem, ResultTooLarge
from loupe.formats import declared_size, media_type_of
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loupe.card import InputSpec
    from loupe.classifier import Classifier
    from loupe.prediction import Prediction
    from loupe.request import Source
    from loupe.source import Sources
    from loupe.tensor import Tensor

WORKERS = 8
# Items that go through the model together: enough to spread the fixed cost of a run, few enough to stop in time.
MODEL_BATCH = 8
# Tensors that wait for the model or are prepared for it, and the copy of those that one run takes.
TENSOR_BYTES = 64 * 1024 * 1024
# Scores that are kept until the answer is written, 80 bytes each. An answer of 4.5 MB has no more: one takes 8 bytes.
MAX_SCORES = 562_500
_ITEM_BYTES = {"float64": 8, "float32": 4, "float16": 2, "int64": 8, "int32": 4, "uint8": 1}
_IDLE_SECONDS = 0.02
# Sources end by the deadline itself; what is still at work this much later is a decoder.
_GRACE_SECONDS = 0.1


class PixelBudget:
    """How many pixels may be decoded at once. One image always may, so none waits for ever."""

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
    """One batch on its way.

    Parameters
    ----------
    deadline
        In monotonic seconds.
    hosts
        Takes the hosts of URLs that were connected to, for the log.

    top
        How many scores of each item the answer has; None for all.

    Attributes
    ----------
    left_running : int
        After `run`: decoders that were still at work at the deadline. A thread cannot be stopped; see `loupe.restart`.
    """

    def __init__(
        self,
        classifier: Classifier,
        sources: Sources,
        stages: Stages,
        deadline: float,
        hosts: list[str] | None = None,
        top: int | None = None,
    ) -> None:
        self._classifier, self._sources, self._stages, self._deadline = classifier, sources, stages, deadline
        self._hosts, self._top, self._scores = hosts, top, 0
        self._budget = PixelBudget(classifier.limits.max_pixels)
        self._held = held_tensors(classifier.card.input)
        self._outcomes: dict[int, Prediction | Problem] = {}
        self._ready: list[tuple[int, Tensor]] = []
        self._seconds_an_item = 0.0
        self._decoding, self._lock = 0, threading.Lock()
        self.left_running = 0

    def run(self, items: Sequence[Source | Problem]) -> list[Prediction | Problem]:
        """Classify the items. What is not done by the deadline is `DeadlineExceeded`; nothing is raised."""
        waiting: deque[tuple[int, Source]] = deque()
        for index, item in enumerate(items):
            if isinstance(item, Problem):
                self._outcomes[index] = item
            else:
                waiting.append((index, item))
        pool = ThreadPoolExecutor(min(WORKERS, len(items)), "loupe-batch")
        pending: dict[Future[tuple[Tensor, Stages]], int] = {}
        try:
            while (waiting or pending) and self._left() > 0:
                # No more is begun than may be held, so a slow model does not let tensors pile up.
                while waiting and len(pending) + len(self._ready) < self._held:
                    index, source = waiting.popleft()
                    pending[pool.submit(self._prepare, source)] = index
                done, _ = wait(pending, self._patience(), FIRST_COMPLETED)
                idle = not done
                self._collect_all(done, pending)
                if not self._run_model(rest=not pending or idle):
                    break
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if pending:
            wait(pending, _GRACE_SECONDS)
            with self._lock:
                self.left_running = self._decoding
        return [self._outcomes.get(index) or _too_late() for index in range(len(items))]

    def _prepare(self, source: Source) -> tuple[Tensor, Stages]:
        stages = Stages()
        try:
            with stages("source"):
                data = self._sources.read(source, seconds=self._time_left(), hosts=self._hosts)
        except Problem:
            # A source that had less time than the settings give it is not to blame.
            self._time_left()
            raise
        with self._budget.hold(pixels_of(data, self._classifier.limits.max_pixels), self._deadline):
            self._time_left()
            with self._lock:
                self._decoding += 1
            try:
                return self._classifier.prepare(data, stages), stages
            finally:
                with self._lock:
                    self._decoding -= 1

    def _collect_all(self, done: set[Future[tuple[Tensor, Stages]]], pending: dict[Future[Any], int]) -> None:
        # Emptied, and in a function of its own: a future that is referenced keeps its tensor.
        while done:
            future = done.pop()
            self._collect(pending.pop(future), future)

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

    def _run_model(self, *, rest: bool) -> bool:
        """Run what is ready: the first item alone, to learn what one costs; then whole batches, and last the rest.

        Returns
        -------
        bool
            False if there is no time for another run.
        """
        self._ready.sort(key=itemgetter(0))
        while self._ready:
            size = min(MODEL_BATCH, self._held) if self._seconds_an_item else 1
            if len(self._ready) < size and not rest:
                break
            left = self._left()
            if self._seconds_an_item:
                size = min(size, int(left / self._seconds_an_item))
            if left <= 0 or size < 1:
                return False
            part, self._ready = self._ready[:size], self._ready[size:]
            begun = time.monotonic()
            with self._stages("model"):
                outcomes = self._classified([tensor for _, tensor in part])
            self._seconds_an_item = max((time.monotonic() - begun) / len(part), 1e-6)
            self._outcomes.update(zip((index for index, _ in part), map(self._kept, outcomes), strict=True))
        return True

    def _kept(self, outcome: Prediction | Problem) -> Prediction | Problem:
        """Drop the scores that the answer does not have."""
        if isinstance(outcome, Problem):
            return outcome
        scores = outcome.scores[: self._top]
        self._scores += len(scores) + len(outcome.labels or ())
        if self._scores > MAX_SCORES:
            return ResultTooLarge("The batch's answer has become too large. Ask for fewer scores with top.")
        return outcome._replace(scores=scores)

    def _classified(self, tensors: list[Tensor]) -> list[Prediction | Problem]:
        """Run the model; what nobody foresaw fails the one item that brings it about, and no other."""
        try:
            return self._classifier.run(tensors)
        except Exception as error:  # noqa: BLE001 (an entry point: of the item)
            if len(tensors) == 1:
                return [InternalError.hiding(error)]
            return [outcome for tensor in tensors for outcome in self._classified([tensor])]

    def _patience(self) -> float:
        """Seconds to wait for more: not long where the model could have something to do meanwhile."""
        return min(self._left(), _IDLE_SECONDS) if self._ready else self._left()

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _time_left(self) -> float:
        """Return the seconds that are left; `DeadlineExceeded` if none are."""
        left = self._left()
        if left <= 0:
            raise _too_late()
        return left


def held_tensors(spec: InputSpec) -> int:
    """Return how many tensors of this input may exist at once, so that they and their copy fit `TENSOR_BYTES`."""
    size = prod(spec.shape) * _ITEM_BYTES[spec.dtype]
    return max(1, min(2 * MODEL_BATCH, TENSOR_BYTES // (2 * size)))


def pixels_of(data: bytes, most: int) -> int:
    """Return width x height by a file's header, or ``most`` where it does not say; for the budget only."""
    media_type = media_type_of(data)
    if media_type is None:
        return 0
    size = declared_size(data, media_type)
    return most if size is None else min(most, size[0] * size[1])


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("This item was not processed in time: send it again.")
