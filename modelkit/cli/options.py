"""Parse texts of options and answers; invalid ones are usage errors that show the format."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from modelkit.errors import ModelkitError
from modelkit.golden import Golden, parse_golden, read_golden_file
from modelkit.label_files import read_labels
from modelkit.label_forms import number_duplicates, split_labels


def numbers(text: str | None) -> tuple[float, ...] | None:
    """Read ``0.485,0.456,0.406``."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} must be numbers with commas between, such as 0.485,0.456,0.406") from None


def scale(text: str | None) -> float | str | None:
    """Read a number, or a fraction such as ``1/255`` that stays a text."""
    if text is None or re.fullmatch(r"-?1/[1-9]\d*", text):
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} must be a number, or 1/255, -1/255 and the like") from None


def color(text: str | None) -> tuple[int, int, int] | None:
    """Read ``red,green,blue``, or one number for all three."""
    values = numbers(text)
    if values is None:
        return None
    if len(values) not in (1, 3) or not all(value.is_integer() and 0 <= value <= 255 for value in values):
        raise typer.BadParameter(f"{text!r} must be red,green,blue from 0 to 255, such as 114,114,114")
    red, green, blue = values * (3 // len(values))
    return int(red), int(green), int(blue)


def size(text: str | None) -> tuple[int, int] | None:
    """Read ``WIDTHxHEIGHT``."""
    if text is None:
        return None
    sides = re.fullmatch(r"(\d{1,5})\s*[x,]\s*(\d{1,5})", text.strip())
    if not sides:
        raise typer.BadParameter(f"{text!r} must be WIDTHxHEIGHT, such as 224x224")
    return int(sides[1]), int(sides[2])


def labels(text: str | None, file: Path | None, *, numbered: bool = False) -> tuple[str, ...] | None:
    """Read labels from an option or a file."""
    if text is not None and file is not None:
        raise typer.BadParameter("give --labels or --labels-file, not both")
    names = read_labels(file) if file is not None else split_labels(text) if text is not None else None
    return number_duplicates(names) if names is not None and numbered else names


def golden(items: list[str], file: Path | None) -> tuple[Golden, ...]:
    """Read golden cases from options and a file."""
    try:
        cases = tuple(parse_golden(item) for item in items)
    except ModelkitError as error:
        raise typer.BadParameter(str(error)) from None
    return cases + (read_golden_file(file) if file is not None else ())


def bindings(items: list[str]) -> dict[str, str]:
    """Read ``NAME=VALUE``, any number of times."""
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise typer.BadParameter(f"{item!r} must be NAME=VALUE, such as training=0")
        if name.strip() in pairs:
            raise typer.BadParameter(f"{name.strip()!r} is bound twice")
        pairs[name.strip()] = value.strip()
    return pairs
