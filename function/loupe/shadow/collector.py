"""The samples of one invocation, until they are sent."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loupe.shadow.sample import Sample
    from loupe.tensor import Tensor

# Of one invocation: samples, and the bytes of their images.
MAX_SAMPLES = 4
MAX_BYTES = 16 * 1024 * 1024


class Collector:
    """Takes at most `MAX_SAMPLES` of an invocation; safe to use from several threads, and raises nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clear()

    def reserve(self, size: int) -> bool:
        """Whether an image of ``size`` bytes is taken; one that is not counts as dropped."""
        with self._lock:
            if self._places < 1 or size > self._bytes:
                self._dropped += 1
                return False
            self._places -= 1
            self._bytes -= size
            return True

    def hold(self, tensor: Tensor, image: bytes | Tensor) -> None:
        """Keep the image of a tensor that waits for the model."""
        with self._lock:
            # With the tensor, so that no other object gets its identity.
            self._held[id(tensor)] = (tensor, image)

    def release(self, tensor: Tensor) -> bytes | Tensor | None:
        """Return the image that is kept of a tensor, or None."""
        with self._lock:
            _, image = self._held.pop(id(tensor), (None, None))
            return image

    def offer(self, sample: Sample) -> None:
        """Take a sample that is complete."""
        with self._lock:
            self._samples.append(sample)

    def take(self) -> tuple[list[Sample], Counter[str]]:
        """Return the samples and, by reason, how many were dropped; then reset."""
        with self._lock:
            samples, dropped = self._samples, Counter(limit=self._dropped)
            # Images that were prepared and not run, as at a batch's deadline, are not compared.
            self._clear()
            return samples, +dropped

    def _clear(self) -> None:
        self._samples: list[Sample] = []
        self._held: dict[int, tuple[Tensor, bytes | Tensor]] = {}
        self._places, self._bytes, self._dropped = MAX_SAMPLES, MAX_BYTES, 0
