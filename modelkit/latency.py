"""Latency and size of models, measured alternately, so that noise of the machine affects all alike."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import onnxruntime as ort
from loupe.model import Array, Model, session_options
from loupe.processor import describe

from modelkit.labelled_images import LabelledImage, read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loupe.card import Card

_IMAGES = 8
# Other load distorts short times more than long ones, so short runs are repeated more often.
SECONDS = 2.0
_MIN_ROUNDS, _MAX_ROUNDS = 7, 101


_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def vnni() -> bool:
    """Whether this processor multiplies 8-bit numbers in one step, which AVX2 alone, as on Lambda's x86, does not."""
    return bool(_VNNI & set(re.findall(r"\w+", describe().rpartition("(")[2])))


@dataclass(frozen=True)
class Cost:
    """Medians: ``run_ms`` of one image through the graph, ``load_ms`` of creating the session; one thread."""

    run_ms: float
    load_ms: float
    bytes: int

    def to_json(self) -> dict[str, float]:
        """Return the figures, rounded to what is repeatable."""
        return {key: round(value, 3) for key, value in asdict(self).items()}


def sample_tensors(card: Card, images: Sequence[LabelledImage], count: int = _IMAGES) -> list[Array]:
    """Return inputs to measure with: the first images that can be read."""
    batches: list[Array] = []
    for _, tensor in read_tensors(images, card.input):
        if tensor is not None:
            batches.append(tensor[None])
        if len(batches) == count:
            break
    return batches


def costs(
    cards: Sequence[Card],
    inputs: Sequence[Sequence[Array]],
) -> list[Cost]:
    """Measure models in turns: model A, model B, model A, ... for every image and every load.

    Parameters
    ----------
    inputs
        For each model, its input batches of one image.
    """
    loads = _median_alternating([partial(_session, card) for card in cards])
    models = [Model.load(card) for card in cards]
    runs = _median_alternating([partial(_run_all, model, own) for model, own in zip(models, inputs, strict=True)])
    return [
        Cost(run / len(own), load, size_of(card))
        for card, own, run, load in zip(cards, inputs, runs, loads, strict=True)
    ]


def size_of(card: Card) -> int:
    """Bytes of a model's files."""
    return sum((card.directory / file.path).stat().st_size for file in card.files)


def _run_all(model: Model, batches: Sequence[Array]) -> None:
    for batch in batches:
        model.run(batch)


def _session(card: Card) -> None:
    ort.InferenceSession(str(card.graph_path), session_options(1), providers=["CPUExecutionProvider"])


def _median_alternating(works: Sequence[Callable[[], object]]) -> list[float]:
    """Median milliseconds of each piece of work, done in turns."""
    times: list[list[float]] = [[] for _ in works]
    started = time.perf_counter()
    while len(times[0]) < _MIN_ROUNDS or (len(times[0]) < _MAX_ROUNDS and time.perf_counter() - started < SECONDS):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            taken.append((time.perf_counter() - start) * 1000)
    return [median(taken) for taken in times]
