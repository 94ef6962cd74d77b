"""Folders of pictures: DIR/<label>/<picture>, or pictures without labels."""

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
# Offline there is nobody to defend against: the pictures are the user's own.
UNLIMITED = Limits(max_bytes=2**31, max_pixels=2**31)


@dataclass(frozen=True)
class LabelledPicture:
    """``label`` is the index of the picture's label in the card's output, None if it has none.

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


def find_pictures(folder: Path, labels: Sequence[str], *, labels_needed: bool = True) -> list[LabelledPicture]:
    """List a folder's pictures, sorted, so that every run takes the same ones.

    Raises
    ------
    ModelkitError
        If there are none, or a subfolder's name is not a label.
    """
    if not folder.is_dir():
        raise ModelkitError(f"{folder} is not a folder of images.")
    subfolders = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    known = [path for path in subfolders if path.name in labels]
    if known:
        strangers = [path.name for path in subfolders if path not in known]
        if strangers:
            raise ModelkitError(
                f"{folder} has folder(s) that are no label of the model: {_few(strangers)} (labels: {_few(labels)})."
            )
        found = [LabelledPicture(path, labels.index(sub.name)) for sub in known for path in _files(sub)]
    elif labels_needed:
        raise ModelkitError(
            f"{folder} has no folder named after a label: put the images into {folder}/<label>/ "
            f"(labels: {_few(labels)})."
        )
    else:
        found = [LabelledPicture(path, None) for path in _files(folder)]
    if not found:
        raise ModelkitError(f"{folder} holds no images.")
    return found


def find_multilabel(folder: Path, labels: Sequence[str], *, labels_needed: bool = True) -> list[LabelledPicture]:
    """List pictures that may have several labels: those of ``labels.csv`` in the folder, or as `find_pictures`.

    The file has the header ``image,labels``; labels stand with ``|`` between, or nothing where there is none.

    Raises
    ------
    ModelkitError
        If a row names no picture or an unknown label.
    """
    table = folder / LABELS_FILE
    if not table.is_file():
        return find_pictures(folder, labels, labels_needed=labels_needed)
    rows = list(csv.DictReader(io.StringIO(read_text(table)), skipinitialspace=True))
    if not rows or not {"image", "labels"} <= set(rows[0]):
        raise ModelkitError(f"{table} needs the header image,labels and a row for each image.")
    index = {label: number for number, label in enumerate(labels)}
    pictures = []
    for row in rows:
        names = [name.strip() for name in (row["labels"] or "").split("|") if name.strip()]
        unknown = [name for name in names if name not in index]
        if unknown:
            raise ModelkitError(f"{table}: {row['image']!r} has the label {unknown[0]!r} (labels: {_few(labels)}).")
        path = folder / (row["image"] or "")
        if not path.is_file():
            raise ModelkitError(f"{table}: {row['image']!r} is not there.")
        pictures.append(LabelledPicture(path, None, frozenset(index[name] for name in names)))
    return sorted(pictures, key=lambda picture: picture.path)


def pictures_for(card: Card, folder: Path, *, labels_needed: bool = True) -> list[LabelledPicture]:
    """List a folder's pictures for a model; see `find_pictures` and `find_multilabel`."""
    find = find_multilabel if card.output.multilabel else find_pictures
    return find(folder, card.output.labels, labels_needed=labels_needed)


def _few(names: Sequence[str]) -> str:
    """List names, not a thousand of them."""
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))


def spread(pictures: Sequence[LabelledPicture], count: int) -> list[LabelledPicture]:
    """Take ``count`` pictures, evenly from the sorted list and so from every label, the same ones each time."""
    if count >= len(pictures):
        return list(pictures)
    return [pictures[index * len(pictures) // count] for index in range(count)]


def tensor_of(path: Path, spec: InputSpec) -> Tensor:
    """Read a picture exactly as serving does.

    Raises
    ------
    loupe.errors.Problem
        If it cannot be read.
    """
    return tensor_from(path.read_bytes(), spec)


def tensor_from(data: bytes, spec: InputSpec) -> Tensor:
    """Read an image's bytes exactly as serving does; see `tensor_of`."""
    return to_tensor(decode(data, UNLIMITED, spec), spec)


def readable(pictures: Sequence[LabelledPicture], spec: InputSpec) -> Iterator[tuple[LabelledPicture, Tensor | None]]:
    """Yield each picture with its tensor, or None where the picture cannot be read."""
    for picture in pictures:
        try:
            yield picture, tensor_of(picture.path, spec)
        except Problem:
            yield picture, None
