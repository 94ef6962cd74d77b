"""ItemReader: the items of a dataset in S3, one at a time and in order.

Source: Step Functions developer guide, 'ItemReader (Map)' and 'Item sources'.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from localcloud.stepfunctions.limits import (
    ITEM_READER_FAILED,
    MAX_CSV_HEADER_BYTES,
    MAX_DATASET_BYTES,
    StatesError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

GET_OBJECT, LIST_OBJECTS = "arn:aws:states:::s3:getObject", "arn:aws:states:::s3:listObjectsV2"
# Not documented by AWS; MiniStack copies values recursively.
MAX_DEPTH = 100
DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}


class Store(Protocol):
    """S3 operations of a Map Run, under the role of its state machine. All methods raise StatesError."""

    def read(self, bucket: str, key: str, version: str | None) -> bytes: ...

    def list(self, bucket: str, prefix: str) -> Iterable[Mapping[str, Any]]:
        """Objects in the order of their keys: ``Key``, ``Size``, ``Etag``, ``LastModified``, ``StorageClass``."""
        ...

    def write(self, bucket: str, key: str, body: bytes) -> None: ...


def read_items(
    resource: str, parameters: Mapping[str, Any], config: Mapping[str, Any], store: Store
) -> Iterator[dict[str, Any] | Any]:
    """Items of a dataset.

    Parameters
    ----------
    resource
        ``arn:aws:states:::s3:getObject`` or ``arn:aws:states:::s3:listObjectsV2``.
    parameters
        ``Bucket`` with ``Key`` (and ``VersionId``) or ``Prefix``, resolved.
    config
        ReaderConfig: ``InputType`` and what belongs to it.

    Raises
    ------
    StatesError
        ``States.ItemReaderFailed`` when the dataset is missing, forbidden, too large or malformed; also while reading.
    """
    bucket = parameters.get("Bucket")
    if not isinstance(bucket, str) or not bucket:
        raise StatesError(ITEM_READER_FAILED, "The ItemReader has no Bucket.")
    if resource == LIST_OBJECTS:
        yield from store.list(bucket, parameters.get("Prefix") or "")
        return
    key = parameters.get("Key")
    if not isinstance(key, str) or not key:
        raise StatesError(ITEM_READER_FAILED, "The ItemReader has no Key.")
    body = store.read(bucket, key, parameters.get("VersionId"))
    if len(body) > MAX_DATASET_BYTES:
        raise StatesError(ITEM_READER_FAILED, f"The file is larger than {MAX_DATASET_BYTES} bytes.")
    parse = {"JSON": _json, "JSONL": _json_lines, "CSV": _csv}[config.get("InputType", "JSON")]
    try:
        yield from parse(body, config)
    except UnicodeDecodeError as error:
        raise StatesError(ITEM_READER_FAILED, f"The file is not UTF-8: {error.reason} at byte {error.start}") from None


def limited(items: Iterable[Any], maximum: int | None) -> Iterator[Any]:
    """The first items, up to ReaderConfig's MaxItems."""
    return itertools.islice(items, maximum) if maximum else iter(items)


def _json(body: bytes, _: Mapping[str, Any]) -> Iterator[Any]:
    items = _parsed(body.decode(), "The file")
    if not isinstance(items, list):
        raise StatesError(ITEM_READER_FAILED, "The file is not a JSON array.")
    yield from items


def _json_lines(body: bytes, _: Mapping[str, Any]) -> Iterator[Any]:
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="\n"), start=1):
        if not line.strip():
            continue
        yield _parsed(line, f"Line {number}")


def _parsed(text: str, what: str) -> Any:
    """Parse JSON of RFC 8259: no NaN, no halves of characters, and no deeper than the interpreter copies a value."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
        if "\\u" in text:
            # A surrogate that is not a half of a pair cannot be encoded.
            json.dumps(value, ensure_ascii=False).encode()
        _check_depth(value)
    except (ValueError, RecursionError) as error:
        raise StatesError(ITEM_READER_FAILED, f"{what} is not JSON: {error}") from None
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any) -> None:
    """Raise ValueError for a value that is nested more than `MAX_DEPTH` levels deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"more than {MAX_DEPTH} levels")


def _csv(body: bytes, config: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
    rows = csv.reader(text, delimiter=DELIMITERS[config.get("CSVDelimiter", "COMMA")], strict=True)
    try:
        header = config.get("CSVHeaders") if config.get("CSVHeaderLocation") == "GIVEN" else next(rows, None)
        if not header:
            raise StatesError(ITEM_READER_FAILED, "The CSV file has no header row.")
        if len(",".join(header).encode()) > MAX_CSV_HEADER_BYTES:
            raise StatesError(ITEM_READER_FAILED, f"The CSV header is longer than {MAX_CSV_HEADER_BYTES} bytes.")
        if len(set(header)) != len(header):
            raise StatesError(ITEM_READER_FAILED, "The CSV header has a column twice.")
        for row in rows:
            if row:
                # Missing fields are empty strings, extra fields are dropped.
                yield dict(itertools.zip_longest(header, row[: len(header)], fillvalue=""))
    except csv.Error as error:
        raise StatesError(ITEM_READER_FAILED, f"Line {rows.line_num} of the CSV file: {error}") from None
