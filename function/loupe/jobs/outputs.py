"""The outputs of a map run's children, read as a stream from the files that ResultWriter wrote.

Source: AWS Step Functions developer guide, 'ResultWriter (Map)'. ``manifest.json`` names the files by status; a file is
JSON Lines or a JSON array, of outputs (transformation COMPACT) or of executions that have theirs as text (NONE).
"""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

from loupe.jobs.storage import network_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loupe.jobs.storage import Storage

_CHUNK = 256 * 1024
# A child's input and output have at most 256 KiB each; a file repeats both as JSON text in JSON (transformation NONE).
MAX_VALUE_CHARACTERS = 2 * 1024 * 1024
# A file of the manifest's list for each few thousand children.
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
_BETWEEN = " \t\r\n,[]"


class OutputsError(ValueError):
    """A file is not as Step Functions documents it."""


def child_outputs(s3: Storage, bucket: str, manifest_key: str) -> Iterator[Mapping[str, Any]]:
    """Yield the output of each child that succeeded, holding no more than one chunk and one value in memory.

    Raises
    ------
    OutputsError
        If a file is damaged.
    loupe.errors.JobsUnavailable
        If S3 does not answer.
    """
    with network_problems(), s3.get_object(Bucket=bucket, Key=manifest_key)["Body"] as body:
        data = body.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise OutputsError("The manifest of the map's results is too large.")
    for file in json.loads(data)["ResultFiles"].get("SUCCEEDED", ()):
        with network_problems(), s3.get_object(Bucket=bucket, Key=file["Key"])["Body"] as body:
            for value in json_values(_chunks(body)):
                yield _output(value)


def json_values(chunks: Iterator[str]) -> Iterator[Any]:
    """Yield the values of JSON Lines, or of one JSON array of objects.

    Parameters
    ----------
    chunks
        The text in pieces.

    Raises
    ------
    OutputsError
        If it is not JSON, or a value is longer than `MAX_VALUE_CHARACTERS`.
    """
    text, size, retry_size = "", 0, 0
    parts: list[str] = []
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        # A value that did not end is tried again at twice its length: trying at each chunk would take quadratic time.
        if size < retry_size:
            continue
        values, text = _split("".join(parts))
        yield from values
        if len(text) > MAX_VALUE_CHARACTERS:
            raise OutputsError("A result of the map is not valid JSON, or too large.")
        parts, size, retry_size = [text], len(text), 2 * len(text)
    values, text = _split("".join(parts))
    yield from values
    if text:
        raise OutputsError("The results of the map end in the middle of a value.")


def _split(text: str) -> tuple[list[Any], str]:
    """Return the values at the beginning of a text, and the rest: a value that has not ended, or no JSON."""
    decode, values, start = json.JSONDecoder().raw_decode, [], _skip(text, 0)
    while start < len(text):
        try:
            value, end = decode(text, start)
        except ValueError:
            break
        values.append(value)
        start = _skip(text, end)
    return values, text[start:]


def _skip(text: str, start: int) -> int:
    while start < len(text) and text[start] in _BETWEEN:
        start += 1
    return start


def _chunks(body: Any) -> Iterator[str]:
    decode = codecs.getincrementaldecoder("utf-8")().decode
    while chunk := body.read(_CHUNK):
        yield decode(chunk)
    yield decode(b"", final=True)


def _output(value: Any) -> Mapping[str, Any]:
    """Return a child's output: the value itself, or what an execution holds as text."""
    if isinstance(value, dict) and "ExecutionArn" in value and isinstance(value.get("Output"), str):
        value = json.loads(value["Output"])
    if not isinstance(value, dict) or not {"rows", "first", "last"} <= value.keys():
        raise OutputsError("A result of the map is not one of a batch.")
    return value
