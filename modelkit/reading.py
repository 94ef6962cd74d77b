"""Run a model over images through the serving core: all probabilities, in label order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from loupe.prediction import read

from modelkit.errors import ModelkitError
from modelkit.labelled_images import LabelledImage, read_tensors, tensor_of

if TYPE_CHECKING:
    from pathlib import Path

    from loupe.card import Card, OutputSpec
    from loupe.model import Array, Model

    from modelkit.metrics import Flags, Floats, Ints

Progress = Callable[[str, int, int], None]


def silent(_what: str, _done: int, _total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Predictions:
    """``probabilities`` is ``(images, labels)`` float64; ``truth`` holds label indices, -1 where unknown.

    Of multilabel models ``targets``, ``(images, labels)``, says which labels are right (None: not known), and
    ``thresholds`` from which probability on a label is given.
    """

    paths: tuple[Path, ...]
    truth: Ints
    probabilities: Floats
    unreadable: tuple[Path, ...]
    targets: Flags | None = None
    thresholds: Floats | None = None

    @property
    def assigned(self) -> Flags:
        """Return the labels that a multilabel model predicts, ``(images, labels)``."""
        thresholds = 1.0 if self.thresholds is None else self.thresholds
        return np.asarray(self.probabilities >= thresholds)

    @property
    def right(self) -> Flags:
        """Return which images are classified correctly; for multilabel models, with all labels and no other."""
        if self.targets is not None and self.thresholds is not None:
            return np.asarray((self.assigned == self.targets).all(axis=1))
        return np.asarray(self.predicted == self.truth)

    @property
    def predicted(self) -> Ints:
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def labelled(self) -> bool:
        return bool((self.truth >= 0).all()) if self.thresholds is None else self.targets is not None


def truth_of(images: Sequence[LabelledImage], output: OutputSpec) -> tuple[Ints, Flags | None, Floats | None]:
    """Return ``truth``, ``targets`` and ``thresholds`` of `Predictions` for images and a model's output."""
    truth = np.array([-1 if image.label is None else image.label for image in images], np.int64)
    if not output.multilabel:
        return truth, None, None
    sets = [image.all_labels for image in images]
    labelled = [labels for labels in sets if labels is not None]
    targets = np.zeros((len(images), len(output.labels)), bool)
    for row, labels in enumerate(labelled if len(labelled) == len(sets) else []):
        targets[row, sorted(labels)] = True
    return truth, targets if len(labelled) == len(sets) else None, np.array(output.thresholds)


def probabilities_of(row: Array, output: OutputSpec) -> Floats:
    """Return a row's probabilities in label order, ``(labels,)``."""
    scores = dict(read(row, output).scores)
    return np.array([scores[label] for label in output.labels])


def read_all(
    models: Sequence[Model], images: Sequence[LabelledImage], progress: Progress = silent
) -> list[Predictions]:
    """Run models over images, one image at a time as in serving. Models with one input spec share its tensors.

    Raises
    ------
    ModelkitError
        If no image can be read.
    """
    rows: list[list[Floats]] = [[] for _ in models]
    decoded: list[LabelledImage] = []
    unreadable: list[Path] = []
    first = models[0].card.input
    for count, (image, tensor) in enumerate(read_tensors(images, first), start=1):
        progress("reading images", count, len(images))
        if tensor is None:
            unreadable.append(image.path)
            continue
        decoded.append(image)
        for model, taken in zip(models, rows, strict=True):
            own = tensor if model.card.input == first else tensor_of(image.path, model.card.input)
            taken.append(probabilities_of(model.run(own[None])[0], model.card.output))
    if not decoded:
        raise ModelkitError(f"None of the {len(images)} images can be read.")
    paths = tuple(image.path for image in decoded)
    readings = []
    for model, taken in zip(models, rows, strict=True):
        truth, targets, thresholds = truth_of(decoded, model.card.output)
        readings.append(Predictions(paths, truth, np.stack(taken), tuple(unreadable), targets, thresholds))
    return readings


def require_same_labels(first: Card, second: Card) -> None:
    """Check that two models have the same labels in the same order.

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
