"""How far back to read: a duration such as 15m, or a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,6})([smhd])")


def parse_since(text: str, now: datetime) -> datetime:
    """Return the moment that a text names.

    Parameters
    ----------
    text
        ``90s``, ``15m``, ``2h``, ``1d``, or a time of ISO 8601, in UTC unless it names another zone.

    Raises
    ------
    ValueError
        With a sentence that says what is allowed.
    """
    if match := _DURATION.fullmatch(text):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a duration (90s, 15m, 2h, 1d) nor a time (2026-11-26T02:15).") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > now:
        raise ValueError(f"{text!r} is in the future; it is {now:%Y-%m-%dT%H:%M} UTC.")
    return moment
