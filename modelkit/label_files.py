"""Read label files in common text encodings, with a specific error message for each defect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loupe.card import MAX_CARD_BYTES

from modelkit.errors import ModelkitError
from modelkit.label_forms import parse_labels

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN = 40


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a label file of any of the forms that `modelkit.label_forms` knows, in output order.

    Raises
    ------
    ModelkitError
        If it cannot be read, or its form is not known.
    """
    return parse_labels(read_text(path), path.name)


def read_text(path: Path) -> str:
    """Read a text file that people write: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Raises
    ------
    ModelkitError
        If it cannot be read, is too large, or is in another encoding; the line is named.
    """
    try:
        if path.exists() and not path.is_file():
            raise ModelkitError(f"{path} is not a file.")
        with path.open("rb") as file:
            data = file.read(MAX_CARD_BYTES + 1)
    except OSError as error:
        raise ModelkitError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_CARD_BYTES:
        raise ModelkitError(f"{path} is larger than {MAX_CARD_BYTES:,} bytes, more than a card can hold.")
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if any(byte < 9 or 13 < byte < 32 for byte in data):
            raise ModelkitError(f"{path} is not text; save it as UTF-8.") from None
        number = data.count(b"\n", 0, error.start) + 1
        line = data.splitlines()[number - 1].decode("latin-1")
        raise ModelkitError(
            f"{path} is not UTF-8: line {number} would be {line[:_SHOWN]!r} in Latin-1. Save it as UTF-8 "
            f"(iconv -f latin1 -t utf-8 {path.name})."
        ) from None
    if "\0" in text:
        raise ModelkitError(f"{path} is not text; save it as UTF-8.")
    return text
