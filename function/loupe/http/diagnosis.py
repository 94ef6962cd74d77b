"""Diagnose a body that is not an image: how it was damaged, wrapped or mistaken for one.

Every check examines a bounded part of the body and none decodes it. Imported only when a request is about to be
rejected.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

import pybase64

from loupe.errors import ImageUndecodable, UnsupportedMediaType
from loupe.formats import media_type_of

if TYPE_CHECKING:
    from loupe.errors import Problem

# Examined characters of a text.
_PROBE = 4096
# U+FFFD in UTF-8: the replacement of bytes that are not UTF-8.
_REPLACEMENT = "\ufffd".encode()
_MIN_REPLACEMENTS = 4
# The first bytes of JPEG and PNG files, read as Latin-1 and written as UTF-8.
_AS_LATIN_1 = tuple(
    start.decode("latin-1").encode() for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\x89PNG\n\x1a\n")
)
_FORM_FIELD = re.compile(rb"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,39}=")
_COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"PK\x03\x04", "ZIP"))
_OTHER_FORMATS = ((b"%pdf", "a PDF"), (b"<svg", "an SVG"), (b"<?xml", "XML"), (b"<!doctype html", "a web page"),
                  (b"<html", "a web page"))  # fmt: skip


def damage(image: bytes) -> Problem | None:
    """Return how an image with an intact start was damaged, or None.

    Every file of the accepted formats has zero bytes, in the lengths of its first segments. ``curl -d`` removes line
    breaks and zero bytes.
    """
    if b"\0" not in image:
        return ImageUndecodable(
            "The image has lost its zero bytes and line breaks, as with curl -d. "
            "Send it with curl --data-binary @photo.jpg."
        )
    if image[:_PROBE].count(_REPLACEMENT) >= _MIN_REPLACEMENTS:
        return _decoded_as_text()
    return None


def diagnosis(body: bytes, content_encoding: str = "") -> Problem | None:
    """Return the problem of a body that does not begin like an image, or None if no check matches.

    Parameters
    ----------
    content_encoding
        The value of the header ``Content-Encoding``.
    """
    start = body[:_PROBE]
    text = start.lstrip()
    if start.count(_REPLACEMENT) >= _MIN_REPLACEMENTS or start.startswith(_REPLACEMENT):
        return _decoded_as_text()
    if start.startswith(_AS_LATIN_1):
        return ImageUndecodable(
            "The image was encoded as text (Latin-1 to UTF-8) on its way. Send bytes, not a string of characters."
        )
    if start.startswith(b"\x89PNG\x1a") or (start.startswith(b"RIFF") and b"WEBP" in start[:12]):
        return damage(b"")
    for magic, name in _COMPRESSED:
        if start.startswith(magic):
            return UnsupportedMediaType(f"The body is compressed ({name}). Send the image itself, uncompressed.")
    if content_encoding.strip().lower() not in ("", "identity"):
        return UnsupportedMediaType("The body has a Content-Encoding. Send it uncompressed, without that header.")
    if text[:5].lower() == b"data:":
        return UnsupportedMediaType(
            'The body is a data URI, not an image. Send the image\'s bytes, or JSON: {"image": "data:..."}.'
        )
    if _is_base64_image(text):
        return UnsupportedMediaType(
            'The body is base64 text, not an image. Send the image\'s bytes, or JSON: {"image": "<base64>"}.'
        )
    for magic, name in _OTHER_FORMATS:
        if text[: len(magic)].lower() == magic:
            return UnsupportedMediaType(f"The body is {name}, not an image that can be classified.")
    if text.startswith(b"@") and len(body) < _PROBE:
        return UnsupportedMediaType(
            "The body is a file's name, not its content. Send it with curl --data-binary @photo.jpg."
        )
    if text.startswith(b"--") and b"Content-Disposition" in start:
        return UnsupportedMediaType(
            "The body is a form, but its Content-Type is not multipart/form-data. Let your client set that header."
        )
    if _FORM_FIELD.match(text):
        return UnsupportedMediaType(
            "The body is a URL-encoded form. Send the image's bytes, or a multipart/form-data form with a file."
        )
    return None


def _decoded_as_text() -> Problem:
    return ImageUndecodable(
        "The image was read as text on its way, and damaged: it has replacement characters (U+FFFD). "
        "Send and forward it as bytes."
    )


def _is_base64_image(text: bytes) -> bool:
    """Whether a text begins like the base64 of an image."""
    letters = b"".join(text[:128].strip(b"\"'").split())[:64].replace(b"-", b"+").replace(b"_", b"/")
    try:
        return media_type_of(pybase64.b64decode(letters[: len(letters) // 4 * 4], validate=True)) is not None
    except (binascii.Error, ValueError):
        return False
