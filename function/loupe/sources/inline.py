"""Images that are part of the request: the body itself, or base64 in JSON."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

import pybase64

from loupe.errors import ImageTooLarge, RequestInvalid

if TYPE_CHECKING:
    from loupe.image import Limits

_STANDARD = str.maketrans("-_", "+/")


class Inline(NamedTuple):
    """An image that came with the request."""

    data: bytes


def parse(content: Any, limits: Limits) -> Inline:
    """Parse the value of ``image``.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge
    """
    if not isinstance(content, str) or not content.strip():
        raise RequestInvalid('"image" must be a text that is not empty.')
    return Inline(decode_base64(content, limits))


def decode_base64(text: str, limits: Limits) -> bytes:
    """Decode base64 as clients write it: with line breaks, a data-URI prefix, the URL-safe alphabet, or no padding.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge
    """
    if text[:5].lower() == "data:":
        prefix, comma, text = text.partition(",")
        if not comma or not prefix[-7:].lower() == ";base64":
            raise RequestInvalid('"image" is a data URI, but not a base64 one.')
    # Four characters carry three bytes: reject before a copy is made, with slack for line breaks.
    if len(text) * 3 // 4 > limits.max_bytes * 1.05 + 4096:
        raise ImageTooLarge(f"The image is larger than {limits.max_bytes:,} bytes. Send a smaller one.")
    try:
        # Most clients send padded base64 without line breaks: avoid the copies that the other spellings need.
        data = pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        packed = "".join(text.split()).translate(_STANDARD)
        try:
            data = pybase64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise RequestInvalid(_reason(text, packed)) from None
    if not data:
        raise RequestInvalid('"image" is empty.')
    return data


def _reason(text: str, packed: str) -> str:
    """Return why a text is not base64, as a sentence."""
    import re

    if text.lstrip()[:8].lower().startswith(("http://", "https://", "s3://")):
        return '"image" is an address, not base64. Send it as "url", or as "s3" with "bucket" and "key".'
    wrong = re.search(r"[^A-Za-z0-9+/_=\s-]", text)
    if wrong:
        return f'"image" is not valid base64: the character at position {wrong.start() + 1} is not of its alphabet.'
    padding = packed.find("=")
    if 0 <= padding < len(packed.rstrip("=")):
        return '"image" is not valid base64: text follows its padding. Send one file.'
    return '"image" is not valid base64: it is cut off.'
