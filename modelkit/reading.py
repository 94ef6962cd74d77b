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

    from modelkit.metrics import Flags, Floats, Ints

Progress = Callable[[str, int, int], None]


def silent(_what: str, _done: int, _total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Readings:
    """``probabilities`` is ``(pictures, labels)`` float64; ``truth`` holds label indices, -1 where unknown.

    Of multilabel models ``targets``, ``(pictures, labels)``, says which labels are right (None: not known), and
    ``thresholds`` from which probability on a label is given.
    """

    paths: tuple[Path, ...]
    truth: Ints
    probabilities: Floats
    unreadable: tuple[Path, ...]
    targets: Flags | None = None
    thresholds: Floats | None = None

    @property
    def given(self) -> Flags:
        """Return which labels a multilabel model gives, ``(pictures, labels)``."""
        thresholds = 1.0 if self.thresholds is None else self.thresholds
        return np.asarray(self.probabilities >= thresholds)

    @property
    def right(self) -> Flags:
        """Return which pictures are right: their label, or of multilabel models all labels and no other."""
        if self.targets is not None and self.thresholds is not None:
            return np.asarray((self.given == self.targets).all(axis=1))
        return np.asarray(self.predicted == self.truth)

    @property
    def predicted(self) -> Ints:
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def labelled(self) -> bool:
        return bool((self.truth >= 0).all()) if self.thresholds is None else self.targets is not None


def truth_of(pictures: Sequence[LabelledPicture], output: OutputSpec) -> tuple[Ints, Flags | None, Floats | None]:
    """Return ``truth``, ``targets`` and ``thresholds`` of `Readings` for pictures and a model's output."""
    truth = np.array([-1 if picture.label is None else picture.label for picture in pictures], np.int64)
    if not output.multilabel:
        return truth, None, None
    sets = [picture.all_labels for picture in pictures]
    known = [labels for labels in sets if labels is not None]
    targets = np.zeros((len(pictures), len(output.labels)), bool)
    for row, labels in enumerate(known if len(known) == len(sets) else []):
        targets[row, sorted(labels)] = True
    return truth, targets if len(known) == len(sets) else None, np.array(output.thresholds)


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
        progress("reading images", count, len(pictures))
        if tensor is None:
            unreadable.append(picture.path)
            continue
        kept.append(picture)
        for model, taken in zip(models, rows, strict=True):
            own = tensor if model.card.input == first else tensor_of(picture.path, model.card.input)
            taken.append(probabilities_of(model.run(own[None])[0], model.card.output))
    if not kept:
        raise ModelkitError(f"None of the {len(pictures)} images can be read.")
    paths = tuple(picture.path for picture in kept)
    readings = []
    for model, taken in zip(models, rows, strict=True):
        truth, targets, thresholds = truth_of(kept, model.card.output)
        readings.append(Readings(paths, truth, np.stack(taken), tuple(unreadable), targets, thresholds))
    return readings


def same_question(first: Card, second: Card) -> None:
    """Hold that two models tell the same labels apart, in the same order.

    Raises
    ------
    ModelkitError
    """
    if first.output.multilabel != second.output.multilabel:
        raise ModelkitError(f"{first.name} and {second.name} cannot be compared: only one of them is multilabel.")
    if first.output.labels == second.output.labels:
        return
    pairs = list(zip(first.output.labels, second.output.labels, strict=False))
    differ = next((index for index, (one, other) in enumerate(pairs) if one != other), None)
    if differ is None:
        what = f"{len(first.output.labels)} labels against {len(second.output.labels)}"
    else:
        what = f"output {differ} is {first.output.labels[differ]!r} against {second.output.labels[differ]!r}"
    raise ModelkitError(f"{first.name} and {second.name} cannot be compared: their labels differ ({what}).")
