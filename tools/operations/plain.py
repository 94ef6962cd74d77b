"""Text of logs, made safe for a terminal."""

from __future__ import annotations

import unicodedata

# Controls, formats (directional overrides, zero-width characters), surrogates, private use, line and paragraph
# separators: a terminal interprets them, or they change how the line around them reads.
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def plain(text: str) -> str:
    r"""Return a text with every character that a terminal may interpret escaped.

    >>> plain("ok\x1b[2J")
    'ok\\x1b[2J'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escaped(character) if unicodedata.category(character) in _UNSAFE else character for character in text
    )


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
