"""Predictions in memory, so that a repeated image is neither decoded nor run through the model.

`CachedService` wraps a `loupe.service.Service`; a deployment without ``cache`` settings does not import this module.
An entry is found by the SHA-256 of the image's bytes and of the model's card, which lists the hashes of the model's
files beside preprocessing, labels and thresholds. The limits of a request do not belong to the key: they decide whether
an image is rejected, and problems are not cached. SHA-256 rather than a faster checksum, because a caller who finds two
images with one key could choose the result of the other.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from loupe.prediction import Prediction
from loupe.service import BatchResult, read_image
from loupe.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loupe.card import Card
    from loupe.image import Limits
    from loupe.prediction import ModelInfo
    from loupe.service import ClassificationService, Image, Item, Keep, Outcome

# Upper bounds on what an entry takes in CPython (64 bits), held by a test that measures: key, entry and prediction,
# and for each score a pair with its float, or for each given label a reference. Labels are shared with the card.
ENTRY_BYTES = 640
SCORE_BYTES = 112
_LABEL_BYTES = 8
# Stands for a repeated image of a batch until the outcome of the first one is known.
_REPEAT = Prediction("", 0.0, ())


class PredictionCache:
    """Least recently used predictions within ``max_bytes``; safe to use from several threads.

    Several models may share one: their keys differ.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[bytes, Prediction] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Prediction | None:
        """Return the prediction, marked as a hit, or None."""
        with self._lock:
            prediction = self._entries.get(key)
            if prediction is not None:
                self._entries.move_to_end(key)
            return prediction

    def put(self, key: bytes, prediction: Prediction) -> None:
        """Keep a prediction; the least recently used ones go. One that is larger than the cache is not kept."""
        size = entry_bytes(prediction)
        if size > self.max_bytes:
            return
        with self._lock:
            if (before := self._entries.pop(key, None)) is not None:
                self._bytes -= entry_bytes(before)
            self._entries[key] = prediction._replace(cache="hit")
            self._bytes += size
            while self._bytes > self.max_bytes:
                self._bytes -= entry_bytes(self._entries.popitem(last=False)[1])


def entry_bytes(prediction: Prediction) -> int:
    """Return an upper bound on the memory that an entry with this prediction takes, in bytes."""
    return ENTRY_BYTES + SCORE_BYTES * len(prediction.scores) + _LABEL_BYTES * len(prediction.labels or ())


def card_digest(card: Card) -> bytes:
    """Return the SHA-256 of a card: models that may return different results have different digests."""
    return hashlib.sha256(json.dumps(card.raw, sort_keys=True).encode()).digest()


class CachedService:
    """A service that looks an image up before it classifies it; `loupe.service.ClassificationService`.

    ``prediction.cache`` says ``hit`` or ``miss``. Problems are not kept. The time that a lookup takes is the stage
    ``cache``; in a batch it is part of ``source``.
    """

    def __init__(self, service: ClassificationService, cache: PredictionCache) -> None:
        self._service, self._cache = service, cache
        self._model_hash = hashlib.sha256(card_digest(service.card))

    @property
    def card(self) -> Card:
        return self._service.card

    @property
    def limits(self) -> Limits:
        return self._service.limits

    @property
    def model(self) -> ModelInfo:
        return self._service.model

    def classify(self, image: Image, *, deadline: float | None = None, stages: Stages | None = None) -> Prediction:
        """Classify one image, as `loupe.service.Service.classify`."""
        stages = stages or Stages()
        if not isinstance(image, bytes):
            with stages("source"):
                content = read_image(image, deadline)
            if isinstance(content, Prediction):
                return content
            image = content
        with stages("cache"):
            key = self.key(image)
            prediction = self._cache.get(key)
        if prediction is None:
            prediction = self._service.classify(image, deadline=deadline, stages=stages)._replace(cache="miss")
            self._cache.put(key, prediction)
        return prediction

    def classify_many(
        self,
        images: Sequence[Item],
        *,
        deadline: float,
        stages: Stages | None = None,
        keep: Keep | None = None,
    ) -> BatchResult:
        """Classify several images, as `loupe.service.Service.classify_many`; identical ones are classified once.

        The outcome of the first of identical images, a problem too, is that of all of them. ``keep`` is called for
        each image; for those after the first with what was kept of the first.
        """
        batch = _CachedBatch(self.key, self._cache, keep)
        result = self._service.classify_many(
            [item if isinstance(item, Exception) else partial(batch.read, i, item) for i, item in enumerate(images)],
            deadline=deadline,
            stages=stages,
            keep=batch.keep,
        )
        return BatchResult(batch.copied(result.outcomes), result.unfinished_decoders)

    def key(self, data: bytes) -> bytes:
        """Return the key of an image's bytes (32 bytes)."""
        digest = self._model_hash.copy()
        digest.update(data)
        return digest.digest()


class _CachedBatch:
    """One batch: `read` is called in threads, `keep` and `copied` in the thread that called `classify_many`."""

    def __init__(self, key_of: Callable[[bytes], bytes], cache: PredictionCache, keep: Keep | None) -> None:
        self._key_of, self._cache, self._keep = key_of, cache, keep
        self._lock = threading.Lock()
        self._first: dict[bytes, int] = {}
        # Of images that are classified; and of repeated images the index of the first one.
        self._keys: dict[int, bytes] = {}
        self._repeats: dict[int, int] = {}

    def read(self, index: int, image: Image, *, seconds: float | None) -> bytes | Prediction:
        content = image if isinstance(image, bytes) else image(seconds=seconds)
        if isinstance(content, Prediction):
            return content
        key = self._key_of(content)
        with self._lock:
            first = self._first.setdefault(key, index)
            if first != index:
                self._repeats[index] = first
                return _REPEAT
            self._keys[index] = key
        return self._cache.get(key) or content

    def keep(self, index: int, prediction: Prediction) -> Outcome:
        if prediction is _REPEAT:
            return prediction
        if prediction.cache == "off" and index in self._keys:
            prediction = prediction._replace(cache="miss")
            self._cache.put(self._keys[index], prediction)
        return self._apply_keep(index, prediction)

    def copied(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Give repeated images the outcome of the first one."""
        with self._lock:  # a reader may still run after the deadline
            repeats = dict(self._repeats)
        for index, first in repeats.items():
            outcome = outcomes[first]
            if isinstance(outcome, Prediction):
                outcome = self._apply_keep(index, outcome._replace(cache="hit"))
            outcomes[index] = outcome
        return outcomes

    def _apply_keep(self, index: int, prediction: Prediction) -> Outcome:
        return prediction if self._keep is None else self._keep(index, prediction)
