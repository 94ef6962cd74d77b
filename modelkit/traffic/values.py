"""Checked values of a log line: each reader raises `BadLineError` for a value of another kind."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NAME = 200
# Names of one line that are counted: codes, labels, stages.
MAX_NAMES = 100
_LARGEST_COUNT = 10**6


class BadLineError(ValueError):
    """A line that should be one of the function's and is not; the message is a kind of damage, without its content."""


def text_of(value: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Return a text's beginning; without a default it has to be there."""
    text = value.get(name, default)
    if text is None:
        raise BadLineError(f"{name} is missing")
    if not isinstance(text, str):
        raise BadLineError(f"{name} is not text")
    return cut(text)


def cut(text: str) -> str:
    """Return the beginning of a text, without halves of characters, which no output could encode."""
    return text[:MAX_NAME] if text.isascii() else text[:MAX_NAME].encode("utf-8", "replace").decode()


def number_of(value: Mapping[str, Any], name: str, least: float, most: float) -> float:
    """Return a number within its range."""
    number = value.get(name)
    if number is None:
        raise BadLineError(f"{name} is missing")
    if not is_number(number) or not least <= number <= most:
        raise BadLineError(f"{name} is not a number in its range")
    return float(number)


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number that arithmetic can bear."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def count_of(value: Mapping[str, Any], name: str) -> int:
    """Return a count; 0 if it is not there."""
    count = value.get(name, 0)
    if isinstance(count, bool) or not isinstance(count, int | float) or not 0 <= count <= _LARGEST_COUNT:
        raise BadLineError(f"{name} is not a count")
    return int(count)


def counts_of(value: Mapping[str, Any], name: str) -> dict[str, int]:
    """Return an object of counts by name; empty if it is not there."""
    counts = value.get(name, {})
    if not isinstance(counts, dict):
        raise BadLineError(f"{name} is not an object")
    return {cut(key): count_of(counts, key) for key in list(counts)[:MAX_NAMES]}


def numbers_of(value: Mapping[str, Any], name: str) -> dict[str, float]:
    """Return an object of numbers from 0, such as milliseconds by stage; empty if it is not there."""
    numbers = value.get(name, {})
    if not isinstance(numbers, dict):
        raise BadLineError(f"{name} is not an object")
    return {cut(key): number_of(numbers, key, 0.0, math.inf) for key in list(numbers)[:MAX_NAMES]}


def time_of(text: Any) -> float | None:
    """Return the seconds of an RFC 3339 time, as the function writes it, or None."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
