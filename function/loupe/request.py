"""What is asked: where the picture's bytes are to be had, and how much of the answer is wanted."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loupe.errors import ImageTooLarge, RequestInvalid, UnsupportedMediaType
from loupe.image import FORMAT_NAMES, Limits, media_type_of

if TYPE_CHECKING:
    from loupe.envelope import HttpRequest

DEFAULT_TOP = 5
SOURCE_KEYS = ("url", "image")
# What clients send when nobody said what the body is: told by content then.
_UNSPECIFIC = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"})


@dataclass(frozen=True)
class Inline:
    """The picture came with the request."""

    data: bytes


@dataclass(frozen=True)
class Url:
    """The picture is to be fetched."""

    url: str


Source = Inline | Url


@dataclass(frozen=True)
class ClassifyRequest:
    """One picture to classify; ``top`` is how many scores are wanted, None for all."""

    source: Source
    top: int | None = DEFAULT_TOP


def from_http(request: HttpRequest, limits: Limits) -> ClassifyRequest:
    """Read ``POST /v1/classify``.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge, loupe.errors.UnsupportedMediaType
    """
    top = _top(request.query)
    if not request.body:
        raise RequestInvalid(
            'The body is empty. Send the picture itself, or JSON with exactly one of "url" and "image".'
        )
    kind = request.content_type
    if kind == "application/json" or kind.endswith("+json"):
        return ClassifyRequest(_source(_object(request.body), limits), top)
    if kind.startswith("image/") or media_type_of(request.body):
        return ClassifyRequest(Inline(request.body), top)
    if kind in _UNSPECIFIC and request.body.lstrip()[:1] == b"{":
        return ClassifyRequest(_source(_object(request.body), limits), top)
    raise UnsupportedMediaType(
        f"The body is neither a picture ({FORMAT_NAMES}) nor JSON. "
        "Send Content-Type: image/jpeg (or image/png, image/webp), or application/json."
    )


def from_payload(payload: Any, limits: Limits) -> ClassifyRequest:
    """Read a direct invocation's payload: one source, and perhaps ``top`` (a number or "all").

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge
    """
    if not isinstance(payload, dict):
        raise RequestInvalid('The payload must be an object with exactly one of "url" and "image".')
    rest = dict(payload)
    top = rest.pop("top", DEFAULT_TOP)
    return ClassifyRequest(_source(rest, limits), _count(str(top)))


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestInvalid("The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise RequestInvalid('The JSON must be an object with exactly one of "url" and "image".')
    return value


def _source(value: dict[str, Any], limits: Limits) -> Source:
    unknown = sorted(set(value) - set(SOURCE_KEYS))
    if unknown:
        raise RequestInvalid(f"The key {unknown[0][:40]!r} is unknown. Send exactly one of {_keys()}.")
    if len(value) != 1:
        got = " and ".join(f'"{key}"' for key in value) or "none"
        raise RequestInvalid(f"Send exactly one of {_keys()}; this request has {got}.")
    (key, text), = value.items()
    if not isinstance(text, str) or not text.strip():
        raise RequestInvalid(f'"{key}" must be a text that is not empty.')
    return Inline(decode_base64(text, limits)) if key == "image" else Url(text.strip())


def decode_base64(text: str, limits: Limits) -> bytes:
    """Decode base64 that may have white space, a data-URI prefix, or no padding.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge
    """
    if text[:5].lower() == "data:":
        prefix, comma, text = text.partition(",")
        if not comma or not prefix.lower().endswith(";base64"):
            raise RequestInvalid('"image" is a data URI, but not a base64 one.')
    # Four characters carry three bytes: refuse before a copy is made, with slack for line breaks.
    if len(text) * 3 // 4 > limits.max_bytes * 1.05 + 4096:
        raise ImageTooLarge(f"The image is larger than {limits.max_bytes:,} bytes. Send a smaller one.")
    packed = "".join(text.split())
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise RequestInvalid('"image" is not valid base64.') from None


def _top(query: Mapping[str, str]) -> int | None:
    scores = query.get("scores")
    if scores is not None:
        if scores != "all" or "top" in query:
            raise RequestInvalid('"scores" can only be "all", and not together with "top".')
        return None
    return _count(query["top"]) if "top" in query else DEFAULT_TOP


def _count(text: str) -> int | None:
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) and len(text) <= 4):
        raise RequestInvalid('"top" must be a whole number from 1 to 9999.')
    return int(text)


def _keys() -> str:
    return " and ".join(f'"{key}"' for key in SOURCE_KEYS)
