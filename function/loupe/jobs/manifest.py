"""The beginning of a manifest: mistakes that would end a job only after it has started."""

from __future__ import annotations

import codecs
import csv
import json
from typing import NoReturn

from loupe.errors import ManifestInvalid

# Columns and keys by which a row names an image.
NAMES = ("s3", "key")
# Readers take a header of at most 10 KiB (Step Functions developer guide, 'ItemReader').
_MAX_HEADER_BYTES = 10 * 1024
_EXAMPLE = '{"s3": "s3://bucket/photo.jpg"}'


def check_beginning(sample: bytes, kind: str, *, whole: bool) -> None:
    """Check the rows at the beginning of a manifest.

    The reader and the job stop at the first row that is not JSON. Rows that are JSON and name no image get a row
    in the results; only the first one has to be an object, which other files begin with less often.

    Parameters
    ----------
    whole
        Whether the sample is the whole manifest: otherwise its last row may be cut off.

    Raises
    ------
    loupe.errors.ManifestInvalid
        If it is not UTF-8, a row is not JSON, or there is no CSV header with a column that names images.
    """
    if sample.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ManifestInvalid("The manifest begins with a byte order mark. Save it as UTF-8 without one.")
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(sample, final=whole)
    except UnicodeDecodeError as error:
        raise ManifestInvalid(f"The manifest is not UTF-8, at byte {error.start:,}. Save it as UTF-8.") from None
    if kind == "csv":
        _check_header(text.partition("\n")[0])
    else:
        _check_objects(text.split("\n") if whole else text.split("\n")[:-1])


def _check_header(line: str) -> None:
    if len(line.encode()) > _MAX_HEADER_BYTES:
        raise ManifestInvalid(f"The header of the CSV manifest is longer than {_MAX_HEADER_BYTES:,} bytes.")
    try:
        columns = next(csv.reader([line.rstrip("\r")], strict=True), [])
    except csv.Error:
        columns = []
    if not set(NAMES) & set(columns):
        raise ManifestInvalid('The first row of a CSV manifest must be a header with a column "s3" or "key".')
    if len(set(columns)) != len(columns):
        raise ManifestInvalid("The header of the CSV manifest has a column twice. Rename one of them.")


def _check_objects(lines: list[str]) -> None:
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _JSON.decode(line)
        except (ValueError, RecursionError):
            raise ManifestInvalid(
                f"Line {number} of the manifest is not JSON that can be read. Write an object, such as {_EXAMPLE}."
            ) from None
        if first and not isinstance(row, dict):
            raise ManifestInvalid(f"Each line of the manifest must be a JSON object, such as {_EXAMPLE}.")
        first = False


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_JSON = json.JSONDecoder(parse_constant=_no_constant)
