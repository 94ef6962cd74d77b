"""Folders of images: DIR/<label>/<image>, or images without labels."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loupe.errors import Problem
from loupe.image import Limits, decode
from loupe.tensor import Tensor, to_tensor

from modelkit.errors import ModelkitError
from modelkit.label_files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from loupe.card import Card, InputSpec

_LISTED = 10
LABELS_FILE = "labels.csv"
# Offline, images are trusted: they are the user's own.
UNLIMITED = Limits(max_bytes=2**31, max_pixels=2**31)


@dataclass(frozen=True)
class LabelledImage:
    """``label`` is the index of the image's label in the card's output, None if it has none.

    ``labels`` are the indices of all of them, where a file says which (see `find_multilabel`).
    """

    path: Path
    label: int | None
    labels: frozenset[int] | None = None

    @property
    def all_labels(self) -> frozenset[int] | None:
        """Return the indices of all labels; None if they are not known."""
        if self.labels is not None:
            return self.labels
        return None if self.label is None else frozenset([self.label])


def find_images(folder: Path, labels: Sequence[str], *, labels_needed: bool = True) -> list[LabelledImage]:
    """List a folder's images, sorted, so that every run takes the same ones.

    Raises
    ------
    ModelkitError
        If there are none, or a subfolder's name is not a label.
    """
    if not folder.is_dir():
        raise ModelkitError(f"{folder} is not a folder of images.")
    subfolders = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    labelled = [path for path in subfolders if path.name in labels]
    if labelled:
        unknown = [path.name for path in subfolders if path not in labelled]
        if unknown:
            raise ModelkitError(
                f"{folder} has folder(s) that are not labels of the model: {_shortened(unknown)} "
                f"(labels: {_shortened(labels)})."
            )
        images = [LabelledImage(path, labels.index(sub.name)) for sub in labelled for path in _files(sub)]
    elif labels_needed:
        raise ModelkitError(
            f"{folder} has no folder named after a label: put the images into {folder}/<label>/ "
            f"(labels: {_shortened(labels)})."
        )
    else:
        images = [LabelledImage(path, None) for path in _files(folder)]
    if not images:
        raise ModelkitError(f"{folder} holds no images.")
    return images


def find_multilabel(folder: Path, labels: Sequence[str], *, labels_needed: bool = True) -> list[LabelledImage]:
    """List images that may have several labels: those of ``labels.csv`` in the folder, or as `find_images`.

    The file has the header ``image,labels``; labels stand with ``|`` between, or nothing where there is none.

    Raises
    ------
    ModelkitError
        If a row names no image or an unknown label.
    """
    table = folder / LABELS_FILE
    if not table.is_file():
        return find_images(folder, labels, labels_needed=labels_needed)
    rows = list(csv.DictReader(io.StringIO(read_text(table)), skipinitialspace=True))
    if not rows or not {"image", "labels"} <= set(rows[0]):
        raise ModelkitError(f"{table} needs the header image,labels and a row for each image.")
    index = {label: number for number, label in enumerate(labels)}
    images = []
    for row in rows:
        names = [name.strip() for name in (row["labels"] or "").split("|") if name.strip()]
        unknown = [name for name in names if name not in index]
        if unknown:
            raise ModelkitError(
                f"{table}: {row['image']!r} has the label {unknown[0]!r} (labels: {_shortened(labels)})."
            )
        path = folder / (row["image"] or "")
        if not path.is_file():
            raise ModelkitError(f"{table}: {row['image']!r} is not there.")
        images.append(LabelledImage(path, None, frozenset(index[name] for name in names)))
    return sorted(images, key=lambda image: image.path)


def images_for(card: Card, folder: Path, *, labels_needed: bool = True) -> list[LabelledImage]:
    """List a folder's images for a model; see `find_images` and `find_multilabel`."""
    find = find_multilabel if card.output.multilabel else find_images
    return find(folder, card.output.labels, labels_needed=labels_needed)


def _shortened(names: Sequence[str]) -> str:
    """List names, not a thousand of them."""
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))


def spread(images: Sequence[LabelledImage], count: int) -> list[LabelledImage]:
    """Take ``count`` images, evenly from the sorted list and so from every label, the same ones each time."""
    if count >= len(images):
        return list(images)
    return [images[index * len(images) // count] for index in range(count)]


def tensor_of(path: Path, spec: InputSpec) -> Tensor:
    """Read an image exactly as serving does.

    Raises
    ------
    loupe.errors.Problem
        If it cannot be read.
    """
    return tensor_from(path.read_bytes(), spec)


def tensor_from(data: bytes, spec: InputSpec) -> Tensor:
    """Read an image's bytes exactly as serving does; see `tensor_of`."""
    return to_tensor(decode(data, UNLIMITED, spec), spec)


def read_tensors(images: Sequence[LabelledImage], spec: InputSpec) -> Iterator[tuple[LabelledImage, Tensor | None]]:
    """Yield each image with its tensor, or None where the image cannot be read."""
    for image in images:
        try:
            yield image, tensor_of(image.path, spec)
        except Problem:
            yield image, None
