"""The beginning of a manifest: mistakes that would end a job only after it has started, and the number of its rows."""

from __future__ import annotations

import csv
import json

from loupe.errors import ManifestInvalid

# Columns and keys by which a row names an image.
NAMES = ("s3", "key")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Readers take a header of at most 10 KiB (Step Functions developer guide, 'ItemReader').
_MAX_HEADER_BYTES = 10 * 1024


def check_beginning(sample: bytes, kind: str) -> None:
    """Check the first row of a manifest, as far as the sample has the whole of it.

    Raises
    ------
    loupe.errors.ManifestInvalid
        If it is no object of JSON Lines, or no CSV header with a column that names images.
    """
    if sample.startswith(_BYTE_ORDER_MARK):
        raise ManifestInvalid("The manifest begins with a byte order mark. Save it as UTF-8 without one.")
    first, separator, _ = sample.lstrip().partition(b"\n")
    if kind == "csv":
        _check_header(first)
    elif separator:
        _check_object(first)


def _check_header(line: bytes) -> None:
    if len(line) > _MAX_HEADER_BYTES:
        raise ManifestInvalid(f"The header of the CSV manifest is longer than {_MAX_HEADER_BYTES:,} bytes.")
    try:
        columns = next(csv.reader([line.decode().rstrip("\r")], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        columns = []
    if not set(NAMES) & set(columns):
        raise ManifestInvalid('The first row of a CSV manifest must be a header with a column "s3" or "key".')


def _check_object(line: bytes) -> None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise ManifestInvalid(
            'Each line of the manifest must be a JSON object, such as {"s3": "s3://bucket/photo.jpg"}.'
        )
