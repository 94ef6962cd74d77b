"""Several images before one deadline: read and decoded in parallel, run through the model together.

Every item has its own outcome. Memory is bounded: at most `WORKERS` files are held at once, the images that are being
decoded have together no more pixels than one image may have, and tensors, with the copy that a run of the model takes,
have together at most `TENSOR_BYTES` (or one tensor and its copy, where that is larger). `loupe.service` calls this.
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

from loupe.errors import InternalError, Problem
from loupe.formats import declared_size, media_type_of
from loupe.prediction import Prediction
from loupe.service import read_image, seconds_left, too_late
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from loupe.card import InputSpec
    from loupe.classifier import Classifier
    from loupe.service import Image, Item, Keep, Outcome
    from loupe.tensor import Tensor

    # The result of reading and decoding: a tensor, or a prediction that the reader returned.
    _Prepared: TypeAlias = tuple[Tensor | Prediction, Stages]

WORKERS = 8
# Items that go through the model together: enough to spread the fixed cost of a run, few enough to stop in time.
MODEL_BATCH = 8
# Tensors that wait for the model or are prepared for it, and the copy of those that one run takes.
TENSOR_BYTES = 64 * 1024 * 1024
_ITEM_BYTES = {"float64": 8, "float32": 4, "float16": 2, "int64": 8, "int32": 4, "uint8": 1}
_IDLE_SECONDS = 0.02
# Sources end by the deadline; a thread that still runs this much later is decoding.
_GRACE_SECONDS = 0.1


class PixelBudget:
    """Limits the pixels that are decoded at once. One image is always allowed, so none waits forever."""

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
                raise too_late()
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


class Batch:
    """One batch in progress.

    Parameters
    ----------
    stages
        Takes the milliseconds of all items together.
    deadline
        In monotonic seconds.
    keep
        Reduces a prediction to what the caller stores; see `loupe.service.Service.classify_many`.

    Attributes
    ----------
    unfinished_decoders : int
        After `run`: decoders that were still running at the deadline.
    """

    def __init__(self, classifier: Classifier, stages: Stages, deadline: float, keep: Keep | None = None) -> None:
        self._classifier, self._stages, self._deadline, self._keep = classifier, stages, deadline, keep
        self._budget = PixelBudget(classifier.limits.max_pixels)
        self._held = max_held_tensors(classifier.card.input)
        self._outcomes: dict[int, Outcome] = {}
        self._ready: list[tuple[int, Tensor]] = []
        self._seconds_an_item = 0.0
        self._decoding, self._lock = 0, threading.Lock()
        self.unfinished_decoders = 0

    def run(self, items: Sequence[Item]) -> list[Outcome]:
        """Classify the items. Those that are not done by the deadline are `DeadlineExceeded`; nothing is raised."""
        waiting: deque[tuple[int, Image]] = deque()
        for index, item in enumerate(items):
            if isinstance(item, Problem):
                self._outcomes[index] = item
            else:
                waiting.append((index, item))
        pool = ThreadPoolExecutor(max(1, min(WORKERS, len(items))), "loupe-batch")
        pending: dict[Future[_Prepared], int] = {}
        try:
            while (waiting or pending) and self._seconds_left() > 0:
                # Begin only as many items as may be held, so that tensors do not accumulate before a slow model.
                while waiting and len(pending) + len(self._ready) < self._held:
                    index, image = waiting.popleft()
                    pending[pool.submit(self._prepare, image)] = index
                done, _ = wait(pending, self._wait_seconds(), FIRST_COMPLETED)
                idle = not done
                self._collect_all(done, pending)
                if not self._run_model(rest=not pending or idle):
                    break
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if pending:
            wait(pending, _GRACE_SECONDS)
            with self._lock:
                self.unfinished_decoders = self._decoding
        return [self._outcomes.get(index) or too_late() for index in range(len(items))]

    def _prepare(self, image: Image) -> _Prepared:
        """Read and decode one image, in a thread of the pool."""
        stages = Stages()
        with stages("source"):
            data = image if isinstance(image, bytes) else read_image(image, self._deadline)
        if isinstance(data, Prediction):
            return data, stages
        with self._budget.hold(pixels_of(data, self._classifier.limits.max_pixels), self._deadline):
            seconds_left(self._deadline)
            with self._lock:
                self._decoding += 1
            try:
                return self._classifier.prepare(data, stages), stages
            finally:
                with self._lock:
                    self._decoding -= 1

    def _collect_all(self, done: set[Future[_Prepared]], pending: dict[Future[Any], int]) -> None:
        # Emptied, and in a separate function: a referenced future keeps its tensor.
        while done:
            future = done.pop()
            self._collect(pending.pop(future), future)

    def _collect(self, index: int, future: Future[_Prepared]) -> None:
        error = future.exception()
        if error is None:
            prepared, stages = future.result()
            self._stages.add(stages)
            if isinstance(prepared, Prediction):
                self._outcomes[index] = self._apply_keep(index, prepared)
            else:
                self._ready.append((index, prepared))
        elif isinstance(error, Problem):
            self._outcomes[index] = error
        elif isinstance(error, Exception):
            self._outcomes[index] = InternalError.from_exception(error)
        else:
            raise error

    def _run_model(self, *, rest: bool) -> bool:
        """Run the ready items: the first alone, to measure one; then whole batches, and last the remainder.

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
            left = self._seconds_left()
            if self._seconds_an_item:
                size = min(size, int(left / self._seconds_an_item))
            if left <= 0 or size < 1:
                return False
            part, self._ready = self._ready[:size], self._ready[size:]
            started = time.monotonic()
            with self._stages("model"):
                outcomes = self._classified([tensor for _, tensor in part])
            self._seconds_an_item = max((time.monotonic() - started) / len(part), 1e-6)
            for (index, _), outcome in zip(part, outcomes, strict=True):
                self._outcomes[index] = self._apply_keep(index, outcome)
        return True

    def _apply_keep(self, index: int, outcome: Outcome) -> Outcome:
        return outcome if self._keep is None or isinstance(outcome, Problem) else self._keep(index, outcome)

    def _classified(self, tensors: list[Tensor]) -> list[Outcome]:
        """Run the model. An unexpected exception fails the item that causes it, and no other."""
        try:
            return self._classifier.run(tensors)
        except Exception as error:  # noqa: BLE001 (an entry point: of the item)
            if len(tensors) == 1:
                return [InternalError.from_exception(error)]
            return [outcome for tensor in tensors for outcome in self._classified([tensor])]

    def _wait_seconds(self) -> float:
        """Return the seconds to wait for more items: short if the model could run meanwhile."""
        return min(self._seconds_left(), _IDLE_SECONDS) if self._ready else self._seconds_left()

    def _seconds_left(self) -> float:
        return self._deadline - time.monotonic()


def max_held_tensors(spec: InputSpec) -> int:
    """Return how many tensors of this input may exist at once, so that they and their copy fit `TENSOR_BYTES`."""
    size = prod(spec.shape) * _ITEM_BYTES[spec.dtype]
    return max(1, min(2 * MODEL_BATCH, TENSOR_BYTES // (2 * size)))


def pixels_of(data: bytes, most: int) -> int:
    """Return width x height from a file's header, or ``most`` if it has none; for the budget only."""
    media_type = media_type_of(data)
    if media_type is None:
        return 0
    size = declared_size(data, media_type)
    return most if size is None else min(most, size[0] * size[1])
