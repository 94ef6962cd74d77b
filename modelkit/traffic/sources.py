"""Texts of log events out of files, in memory that does not depend on their size.

What is read, plain or compressed by gzip, told apart by its beginning:

- lines: JSON lines, ``aws logs tail``, objects of an export to S3, ``--output text``;
- documents: the JSON of ``aws logs filter-log-events``, ``get-log-events`` and ``get-query-results``, and the console's
  export of a Logs Insights query;
- the same export as CSV.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from modelkit.errors import ModelkitError
from modelkit.traffic.fields import of_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# A log event has at most 1 MB (Amazon CloudWatch Logs user guide, 'CloudWatch Logs quotas'); escaped in JSON, more.
MAX_EVENT_CHARACTERS = 4 * 1024 * 1024
_CHUNK = 64 * 1024
_DOCUMENT = re.compile(
    r'\s*(\[\s*(\]|[\[{])|\{\s*"(events|results|searchedLogStreams|nextToken|nextForwardToken|nextBackwardToken|'
    r'queryLanguage|statistics|status|encryptionKey)"\s*:)'
)
# Where the elements of a document begin; within a text, the quotes would be escaped.
_ELEMENTS = re.compile(r'"(?:events|results)"\s*:\s*\[')
_CSV = re.compile(r'"?@?\w+(\.\w+)*"?,|"?@message"?\s')
_DECODER = json.JSONDecoder()


class Event(NamedTuple):
    """A log event: its text or its fields, and its place, such as ``log.json:12``."""

    content: str | Mapping[str, Any]
    place: str


def events(stream: IO[bytes], name: str, report: Callable[[str, str], None]) -> Iterator[Event]:
    """Yield the events of a file.

    Parameters
    ----------
    report
        Called for what cannot be read, with a kind of damage and its place.

    Raises
    ------
    modelkit.errors.ModelkitError
        If the file is compressed and damaged.
    """
    text = None
    try:
        text = _Text(stream)
        if _DOCUMENT.match(text.beginning):
            yield from _of_document(text, name, report)
        elif _CSV.match(text.beginning) and "{" not in text.beginning.partition("\n")[0]:
            yield from _of_csv(text, name, report)
        else:
            yield from _of_lines(text, name, report)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise ModelkitError(f"{name} is compressed and damaged: fetch it again.") from None
    finally:
        if text is not None:
            text.detach()


class _Text:
    """A stream of text whose beginning is known."""

    def __init__(self, stream: IO[bytes]) -> None:
        source: Any = stream
        layers = [io.BufferedReader(source, _CHUNK)]
        if layers[0].peek(2)[:2] == b"\x1f\x8b":
            unpacked: Any = gzip.GzipFile(fileobj=layers[0])
            layers.append(io.BufferedReader(unpacked, _CHUNK))
        self._layers = layers
        # PowerShell redirects as UTF-16.
        utf_16 = layers[-1].peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff")
        self._wrapped = io.TextIOWrapper(
            layers[-1], "utf-16" if utf_16 else "utf-8-sig", errors="replace", newline="\n"
        )
        self.beginning = self._wrapped.read(_CHUNK)
        self._left = self.beginning

    def detach(self) -> None:
        """Leave the stream open; its owner closes it."""
        self._wrapped.detach()
        for layer in reversed(self._layers):
            layer.detach()

    def read(self, count: int) -> str:
        """Return up to ``count`` characters; '' at the end."""
        text, self._left = self._left, ""
        return text or self._wrapped.read(count)

    def lines(self) -> Iterator[str | None]:
        """Yield the lines; None for one that is longer than an event can be."""
        rest, too_long = "", False
        while chunk := self.read(_CHUNK):
            *whole, last = chunk.split("\n")
            for line in whole:
                yield None if too_long else rest + line
                rest, too_long = "", False
            rest += last
            if len(rest) > MAX_EVENT_CHARACTERS:
                rest, too_long = "", True
        if rest or too_long:
            yield None if too_long else rest


def _of_lines(text: _Text, name: str, report: Callable[[str, str], None]) -> Iterator[Event]:
    for number, line in enumerate(text.lines(), 1):
        if line is None:
            report("longer than a log event", f"{name}:{number}")
        elif line.strip():
            yield Event(line, f"{name}:{number}")


def _of_csv(text: _Text, name: str, report: Callable[[str, str], None]) -> Iterator[Event]:
    csv.field_size_limit(MAX_EVENT_CHARACTERS)
    rows = csv.reader(f"{event.content}\n" for event in _of_lines(text, name, report))
    header: list[str] = []
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            report("not CSV", f"{name}:{rows.line_num}")
            continue
        if not header:
            header = row
        elif row:
            yield Event(of_row(zip(header, row, strict=False)), f"{name}:{rows.line_num}")


def _of_document(text: _Text, name: str, report: Callable[[str, str], None]) -> Iterator[Event]:
    for number, element in enumerate(_elements(text, name, report), 1):
        yield Event(_content(element), f"{name}, event {number}")


def _content(element: Any) -> str | Mapping[str, Any]:
    """Return the text of an event, or the fields of a row of a query."""
    if isinstance(element, list):
        pairs = [item for item in element if isinstance(item, dict)]
        return of_row((str(item.get("field")), item.get("value")) for item in pairs)
    if not isinstance(element, dict):
        return ""
    if isinstance(element.get("message"), str) and "timestamp" in element and "service" not in element:
        return str(element["message"])
    return of_row(element.items())


def _elements(text: _Text, name: str, report: Callable[[str, str], None]) -> Iterator[Any]:
    """Yield the elements of the lists of events; at most one of them is held."""
    buffer = text.read(_CHUNK)
    inside = buffer.lstrip().startswith("[")
    at = buffer.index("[") + 1 if inside else 0
    while True:
        if not inside:
            match = _ELEMENTS.search(buffer, at)
            if match:
                at, inside = match.end(), True
                continue
            # A list's name may be cut by the end of the buffer.
            buffer, at = buffer[max(at, len(buffer) - 64) :], 0
        else:
            while at < len(buffer) and buffer[at] in " \t\r\n,":
                at += 1
            if at < len(buffer) and buffer[at] == "]":
                at, inside = at + 1, False
                continue
            if at < len(buffer):
                try:
                    element, at = _DECODER.raw_decode(buffer, at)
                except (ValueError, RecursionError):
                    if len(buffer) - at > MAX_EVENT_CHARACTERS:
                        report("the document is damaged, or an event is too long; the rest is not read", name)
                        return
                else:
                    yield element
                    continue
            buffer, at = buffer[at:], 0
        # More each time, so that a long element is not tried often.
        chunk = text.read(max(_CHUNK, len(buffer)))
        if not chunk:
            if inside:
                report("the document ends within its events", name)
            return
        buffer += chunk
