"""Typed access to JSON objects without third-party imports: every cold start reads the model card."""

from __future__ import annotations

import math
import re
from typing import Any

# Characters of an invalid value that an error message repeats.
_SHOWN = 80
# Python converts no integer of more than 4300 digits to text.
_LARGEST_SHOWN = 10**_SHOWN


class Fields:
    """Typed access to a JSON object, with the key's path in every error message.

    Parameters
    ----------
    value
        The result of `json.loads`; anything but an object is rejected.
    document
        Name of the document, for error messages.
    error
        The type of exception to raise.
    where
        Path of this object inside the document, "" for the top.
    """

    def __init__(self, value: Any, document: str, error: type[ValueError], where: str = "") -> None:
        self.document, self.error_type, self.where = document, error, where
        if not isinstance(value, dict):
            raise self.error("", f"must be an object, not {_name(value)}")
        self.value: dict[str, Any] = value

    def error(self, key: str, complaint: str) -> ValueError:
        return self.error_type(f"{self.document}: {self._path(key) or 'it'} {complaint}.")

    def _path(self, key: str) -> str:
        return ".".join(part for part in (self.where, key) if part)

    def only(self, *keys: str) -> None:
        unknown = sorted(set(self.value) - set(keys))
        if unknown:
            raise self.error(unknown[0][:_SHOWN], f"is not a known key (known: {', '.join(keys)})")

    def child(self, key: str, default: Any = None) -> Fields:
        if key not in self.value and default is None:
            raise self.error(key, "is missing")
        return Fields(self.value.get(key, default), self.document, self.error_type, self._path(key))

    def children(self, key: str, *, most: int) -> list[Fields]:
        value = self.value.get(key, [])
        if not isinstance(value, list):
            raise self.error(key, f"must be a list, not {_name(value)}")
        if len(value) > most:
            raise self.error(key, f"must list at most {most}, not {len(value)}")
        return [Fields(item, self.document, self.error_type, f"{self._path(key)}[{i}]") for i, item in enumerate(value)]

    def text(self, key: str, default: str | None = None) -> str:
        value = self.value.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        if not isinstance(value, str) or not value:
            raise self.error(key, f"must be a text, not {_name(value)}")
        return value

    def optional_text(self, key: str) -> str | None:
        return self.text(key) if key in self.value else None

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise self.error(key, f"is {_shown(value)} but must be one of {', '.join(allowed)}")
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self.value.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {_name(value)}")
        return value

    def number(self, key: str, default: float | None = None, *, fraction: bool = False) -> float:
        """Return a finite number; with ``fraction`` also a text such as ``1/255`` or ``-1/255``."""
        value = self.value.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        if fraction and isinstance(value, str) and (match := re.fullmatch(r"(-?1)/([1-9][0-9]{0,8})", value)):
            return int(match[1]) / int(match[2])
        return self._finite(key, value)

    def _finite(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            raise self.error(key, f"must be a finite number, not {_name(value)}")
        return float(value)

    def integer(self, key: str, default: int | None = None, *, least: int = 1, most: int | None = None) -> int:
        value = self.value.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(key, f"must be a whole number of at least {least}, not {_shown(value)}")
        if most is not None and value > most:
            raise self.error(key, f"must be at most {most}, not {_shown(value)}")
        return value

    def optional_integer(self, key: str, *, most: int | None = None) -> int | None:
        return self.integer(key, most=most) if key in self.value else None

    def numbers(self, key: str, length: int, default: float) -> tuple[float, ...]:
        value = self.value.get(key, [default] * length)
        if not isinstance(value, list) or len(value) != length:
            raise self.error(key, f"must be a list of {length} number(s), one for each channel")
        return tuple(self._finite(key, item) for item in value)

    def texts(self, key: str, *, least: int = 0, most: int | None = None) -> tuple[str, ...]:
        value = self.value.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.error(key, "must be a list of texts")
        if len(value) < least:
            raise self.error(key, f"must list at least {least}")
        if most is not None and len(value) > most:
            raise self.error(key, f"must list at most {most}, not {len(value)}")
        return tuple(value)


def _shown(value: Any) -> str:
    """Return the part of a value that an error message repeats."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_SHOWN:
        return "a number of very many digits"
    written = repr(value)
    return written if len(written) <= _SHOWN else written[:_SHOWN] + "..."


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        return False


def _name(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")
