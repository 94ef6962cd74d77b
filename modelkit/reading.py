"""A model run over pictures: every probability, in label order, through the serving core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from loupe.prediction import read

from modelkit.errors import ModelkitError
from modelkit.pictures import LabelledPicture, readable, tensor_of

if TYPE_CHECKING:
    from pathlib import Path

    from loupe.card import Card, OutputSpec
    from loupe.model import Array, Model

    from modelkit.metrics import Floats, Ints

Progress = Callable[[str, int, int], None]


def silent(_what: str, _done: int, _total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Readings:
    """``probabilities`` is ``(pictures, labels)`` float64; ``truth`` holds label indices, -1 where unknown."""

    paths: tuple[Path, ...]
    truth: Ints
    probabilities: Floats
    unreadable: tuple[Path, ...]

    @property
    def predicted(self) -> Ints:
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def labelled(self) -> bool:
        return bool((self.truth >= 0).all())


def probabilities_of(row: Array, output: OutputSpec) -> Floats:
    """Return a row's probabilities in label order, ``(labels,)``."""
    scores = dict(read(row, output).scores)
    return np.array([scores[label] for label in output.labels])


def read_all(
    models: Sequence[Model], pictures: Sequence[LabelledPicture], progress: Progress = silent
) -> list[Readings]:
    """Run models over pictures, one picture at a time as in serving. Models with one input spec share its tensors.

    Raises
    ------
    ModelkitError
        If no picture can be read.
    """
    rows: list[list[Floats]] = [[] for _ in models]
    kept: list[LabelledPicture] = []
    unreadable: list[Path] = []
    first = models[0].card.input
    for count, (picture, tensor) in enumerate(readable(pictures, first), start=1):
        progress("reading pictures", count, len(pictures))
        if tensor is None:
            unreadable.append(picture.path)
            continue
        kept.append(picture)
        for model, taken in zip(models, rows, strict=True):
            own = tensor if model.card.input == first else tensor_of(picture.path, model.card.input)
            taken.append(probabilities_of(model.run(own[None])[0], model.card.output))
    if not kept:
        raise ModelkitError(f"None of the {len(pictures)} pictures can be read.")
    paths = tuple(picture.path for picture in kept)
    truth = np.array([-1 if picture.label is None else picture.label for picture in kept], np.int64)
    return [Readings(paths, truth, np.stack(taken), tuple(unreadable)) for taken in rows]


def same_question(first: Card, second: Card) -> None:
    """Hold that two models tell the same labels apart, in the same order.

    Raises
    ------
    ModelkitError
    """
    if first.output.labels == second.output.labels:
        return
    pairs = list(zip(first.output.labels, second.output.labels, strict=False))
    differ = next((index for index, (one, other) in enumerate(pairs) if one != other), None)
    if differ is None:
        what = f"{len(first.output.labels)} labels against {len(second.output.labels)}"
    else:
        what = f"output {differ} is {first.output.labels[differ]!r} against {second.output.labels[differ]!r}"
    raise ModelkitError(f"{first.name} and {second.name} cannot be compared: their labels differ ({what}).")
