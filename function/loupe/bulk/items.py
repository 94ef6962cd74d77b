"""Items of a batch: which image a row of a manifest or an object of a listing names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loupe.errors import ItemInvalid, Problem
from loupe.sources.s3 import INVALID_IN_KEYS, MAX_S3_KEY_BYTES, S3Object

if TYPE_CHECKING:
    from collections.abc import Mapping

# Extensions of the formats that are read (`loupe.formats`), and the other names that cameras and programs give them.
IMAGE_EXTENSIONS = frozenset(
    {
        "avif", "bmp", "dib", "gif", "heic", "heics", "heif", "heifs", "hif", "jfif", "jpe", "jpeg", "jpg", "pjp",
        "pjpeg", "png", "apng", "tif", "tiff", "webp",
    }
)  # fmt: skip
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,10})\Z")
_S3_URI = re.compile("s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", re.DOTALL)
_ROW_FORMAT = 'Each row needs "s3" (s3://bucket/key) or "key", an object of the manifest\'s bucket'


@dataclass(frozen=True, slots=True)
class Item:
    """A row: its index in the manifest, and the object that it names, or what is wrong with it.

    Attributes
    ----------
    raw
        The row as the map passes it: what a manifest of failed rows repeats.
    """

    index: int
    source: S3Object | None
    problem: Problem | None
    raw: Any


def read_item(value: Mapping[str, Any], kind: str, bucket: str) -> Item | None:
    """Read one item of a batch.

    Parameters
    ----------
    value
        ``{"index": n, "item": ...}``, as the map's item selector makes it.
    kind
        Type of the job's source: "jsonl", "csv" or "prefix".
    bucket
        The bucket of the manifest or prefix.

    Returns
    -------
    Item | None
        None for a listed object that is skipped: manifests skip nothing, so that they have one row for each of theirs.
    """
    index, row = int(value["index"]), value.get("item")
    try:
        if kind == "prefix":
            key = row.get("Key") if isinstance(row, dict) else None
            if isinstance(key, str) and is_skipped(key):
                return None
            return Item(index, _object(bucket, key), None, row)
        return Item(index, _named(row, bucket), None, row)
    except ItemInvalid as problem:
        return Item(index, None, problem, row)


def is_skipped(key: str) -> bool:
    """Whether a listed object is left out: a folder that the S3 console made, a hidden file, or another extension.

    An object without an extension is classified: its content says what it is. Hidden files are such as ``.DS_Store``
    and ``._photo.jpg``, which macOS writes beside images.
    """
    name = key.rpartition("/")[2]
    if not name or name.startswith("."):
        return True
    extension = _EXTENSION.search(name)
    return extension is not None and extension[1].lower() not in IMAGE_EXTENSIONS


def _named(row: Any, bucket: str) -> S3Object:
    if not isinstance(row, dict):
        raise ItemInvalid(f"The row is not an object. {_ROW_FORMAT}.")
    uri, key = row.get("s3"), row.get("key")
    if uri and key:
        raise ItemInvalid('The row has both "s3" and "key". Keep one of them.')
    if key:
        return _object(bucket, key)
    if not uri:
        raise ItemInvalid(f"The row names no image. {_ROW_FORMAT}.")
    match = _S3_URI.fullmatch(uri) if isinstance(uri, str) and len(uri) <= 2 * MAX_S3_KEY_BYTES else None
    if match is None:
        raise ItemInvalid('"s3" of the row is not the address of an object, such as s3://bucket/folder/photo.jpg.')
    return _object(match[1], match[2])


def _object(bucket: str, key: Any) -> S3Object:
    if not isinstance(key, str) or not key:
        raise ItemInvalid(f"The row names no image. {_ROW_FORMAT}.")
    if len(key) > MAX_S3_KEY_BYTES or INVALID_IN_KEYS.search(key) or len(key.encode()) > MAX_S3_KEY_BYTES:
        raise ItemInvalid(f"The row's key must have at most {MAX_S3_KEY_BYTES} bytes and no control characters.")
    return S3Object(bucket, key)
