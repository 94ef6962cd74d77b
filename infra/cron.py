"""Cron expressions as Application Auto Scaling takes them: six fields, with ``?`` in one of the two day fields."""

from __future__ import annotations

import re

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# Name, lowest, highest, names of values from the lowest on, what else stands alone (EventBridge Scheduler user guide,
# 'Cron-based schedules', which the Application Auto Scaling user guide names as its reference).
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...], str], ...] = (
    ("minutes", 0, 59, (), r""),
    ("hours", 0, 23, (), r""),
    ("day-of-month", 1, 31, (), r"\?|L|LW|([1-9]|[12]\d|3[01])W"),
    ("month", 1, 12, _MONTHS, r""),
    ("day-of-week", 1, 7, _DAYS, r"\?|L|([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(L|#[1-5])"),
    ("year", 1970, 2199, (), r""),
)
EXAMPLE = "cron(0 7 ? * MON-FRI *)"


def check_cron(expression: str) -> str:
    """Return the expression if it can be scheduled.

    Raises
    ------
    ValueError
        With the field that is wrong and what it may be.
    """
    inner = re.fullmatch(r"cron\(([^()]*)\)", expression)
    fields = inner.group(1).split() if inner else []
    if len(fields) != len(_FIELDS):
        names = ", ".join(name for name, *_ in _FIELDS)
        raise ValueError(f"must be cron(...) with six fields ({names}), such as {EXAMPLE} (it is {expression!r})")
    for value, (name, lowest, highest, words, alone) in zip(fields, _FIELDS, strict=True):
        if not re.fullmatch(alone, value) and not all(_fits(part, lowest, highest, words) for part in value.split(",")):
            raise ValueError(f"has {value!r} for its {name}, which must be {lowest} to {highest}, *, a range or a list")
    # Exactly one: a rule by both would be ambiguous, and a rule by neither names no day.
    if [fields[2], fields[4]].count("?") != 1:
        raise ValueError("must have ? for either its day-of-month or its day-of-week, and a value for the other")
    return expression


def _fits(part: str, lowest: int, highest: int, words: tuple[str, ...]) -> bool:
    """Whether one part of a list is ``*``, a value or a range, each with an optional step."""
    match = re.fullmatch(r"(\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", part)
    if match is None:
        return False
    whole, first, last, step = match.groups()
    if step is not None and not 1 <= int(step) <= highest:
        return False
    if whole == "*":
        return True
    numbers = [_number(bound, lowest, words) for bound in (first, last) if bound is not None]
    if any(number is None or not lowest <= number <= highest for number in numbers):
        return False
    return len(numbers) == 1 or numbers == sorted(number for number in numbers if number is not None)


def _number(text: str, lowest: int, words: tuple[str, ...]) -> int | None:
    if text in words:
        return words.index(text) + lowest
    return int(text) if text.isdecimal() and text.isascii() else None
