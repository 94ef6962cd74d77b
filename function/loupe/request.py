"""What is asked: where the picture's bytes are to be had, and how much of the answer is wanted."""

from __future__ import annotations

import binascii
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pybase64

from loupe.errors import BatchTooLarge, ImageTooLarge, Problem, RequestInvalid, UnsupportedMediaType
from loupe.image import FORMAT_NAMES, Limits, media_type_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loupe.envelope import HttpRequest

DEFAULT_TOP = 5
MAX_TOP = 9999
SOURCE_KEYS = ("url", "image", "s3")
# As loupe.url has it.
MAX_URL_CHARACTERS = 2048
MAX_S3_KEY_BYTES = 1024
_EXACTLY_ONE = 'exactly one of "url", "image" and "s3"'
# What clients send when nobody said what the body is: told by content then.
_UNSPECIFIC = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"})


# Control characters, and halves of characters, which no encoding can carry.
_NOT_IN_KEYS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Inline(NamedTuple):
    """The picture came with the request."""

    data: bytes


class Url(NamedTuple):
    """The picture is to be fetched."""

    url: str


class S3Object(NamedTuple):
    """The picture lies in a bucket."""

    bucket: str
    key: str
    version_id: str | None = None


Source = Inline | Url | S3Object


class ClassifyRequest(NamedTuple):
    """One picture to classify; ``top`` is how many scores are wanted, None for all."""

    source: Source
    top: int | None = DEFAULT_TOP


class BatchRequest(NamedTuple):
    """Several pictures; an item that cannot be understood is its problem, in its place."""

    items: tuple[Source | Problem, ...]
    top: int | None = DEFAULT_TOP


def from_http(request: HttpRequest, limits: Limits) -> ClassifyRequest:
    """Read ``POST /v1/classify``.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge, loupe.errors.UnsupportedMediaType
    """
    asked = _top_of_query(request.query)
    body, kind = request.body, request.content_type
    if not body:
        raise RequestInvalid(f"The body is empty. Send the picture itself, or JSON with {_EXACTLY_ONE}.")
    if kind == "multipart/form-data":
        return _from_form(request.headers["content-type"], body, asked)
    picture = media_type_of(body)
    is_json = kind == "application/json" or kind.endswith("+json")
    if is_json and picture:
        raise UnsupportedMediaType(f"The body is a picture, not JSON. Send it with Content-Type: {picture}.")
    if is_json or (kind in _UNSPECIFIC and body.lstrip()[:1] == b"{"):
        value = _json_object(body)
        top = _only_one(asked, _top_of_json(value))
        return ClassifyRequest(read_source(value, limits), _count(top))
    if picture or kind.startswith("image/"):
        # Told by content, whatever the type says; decoding refuses what is no picture.
        return ClassifyRequest(Inline(body), _count(asked))
    raise UnsupportedMediaType(
        f"The body is neither a picture ({FORMAT_NAMES}) nor JSON nor a form. "
        "Send Content-Type: image/jpeg (or image/png, image/webp), application/json, or multipart/form-data."
    )


def from_payload(payload: Any, limits: Limits) -> ClassifyRequest:
    """Read a direct invocation's payload: one source, and perhaps ``top``.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge
    """
    if not isinstance(payload, dict):
        raise RequestInvalid(f"The payload must be an object with {_EXACTLY_ONE}.")
    rest = dict(payload)
    top = _top_of_json(rest)
    return ClassifyRequest(read_source(rest, limits), _count(top))


def batch_from_http(request: HttpRequest, limits: Limits, max_items: int) -> BatchRequest:
    """Read ``POST /v1/classify/batch``.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.BatchTooLarge
        Only for the batch as a whole: what is wrong with an item stands in its place.
    """
    asked = _top_of_query(request.query)
    body = request.body
    if not body:
        raise RequestInvalid('The body is empty. Send JSON: {"items": [...]}.')
    return batch_from_payload(_json_object(body), limits, max_items, asked)


def batch_from_payload(
    payload: Mapping[str, Any], limits: Limits, max_items: int, asked: str | None = None
) -> BatchRequest:
    """Read a batch's JSON; raises as `batch_from_http`."""
    rest = dict(payload)
    top = _count(_only_one(asked, _top_of_json(rest)))
    items = rest.pop("items", None)
    if rest:
        raise RequestInvalid(f'The key {_shown(rest)} is unknown. Send "items", and perhaps "top".')
    if not isinstance(items, list) or not items:
        raise RequestInvalid(f'"items" must be a list of at least one object with {_EXACTLY_ONE}.')
    if len(items) > max_items:
        raise BatchTooLarge(f"The batch has {len(items)} items; at most {max_items} are allowed. Send several batches.")
    return BatchRequest(tuple(_item(item, limits) for item in items), top)


def expect_nothing(request: HttpRequest) -> None:
    """Refuse a body that asks for something where nothing can be asked."""
    body = request.body
    if body.strip() and _json_object(body):
        raise RequestInvalid("This call takes no body, or an empty object.")


def read_source(value: Any, limits: Limits) -> Source:
    """Read an object with exactly one of `SOURCE_KEYS`.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge
    """
    if not isinstance(value, dict):
        raise RequestInvalid(f"This must be an object with {_EXACTLY_ONE}.")
    unknown = {key: None for key in value if key not in SOURCE_KEYS}
    if unknown:
        raise RequestInvalid(f"The key {_shown(unknown)} is unknown. Send {_EXACTLY_ONE}.")
    if len(value) != 1:
        got = " and ".join(f'"{key}"' for key in SOURCE_KEYS if key in value) or "none"
        raise RequestInvalid(f"Send {_EXACTLY_ONE}; this request has {got}.")
    ((key, content),) = value.items()
    if key == "s3":
        return _s3_object(content)
    if not isinstance(content, str) or not content.strip():
        raise RequestInvalid(f'"{key}" must be a text that is not empty.')
    return Inline(decode_base64(content, limits)) if key == "image" else Url(content.strip())


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
    try:
        # Most senders add neither line breaks nor leave out padding: spare them the copies that both cost.
        data = pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        packed = "".join(text.split())
        try:
            data = pybase64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise RequestInvalid('"image" is not valid base64.') from None
    if not data:
        raise RequestInvalid('"image" is empty.')
    return data


def _from_form(content_type: str, body: bytes, asked: str | None) -> ClassifyRequest:
    from loupe.form import read_form

    form = read_form(content_type, body)
    top = _only_one(asked, form.fields.pop("top", None))
    if form.fields:
        raise RequestInvalid(f"The form's field {_shown(form.fields)} is unknown. Send one file, and perhaps top.")
    if not form.file:
        raise RequestInvalid("The form's file is empty.")
    return ClassifyRequest(Inline(form.file), _count(top))


def _item(value: Any, limits: Limits) -> Source | Problem:
    try:
        return read_source(value, limits)
    except Problem as problem:
        return problem


def _s3_object(value: Any) -> S3Object:
    if not isinstance(value, dict):
        raise RequestInvalid('"s3" must be an object with "bucket" and "key".')
    unknown = {key: None for key in value if key not in ("bucket", "key", "version_id")}
    if unknown:
        raise RequestInvalid(f'The key {_shown(unknown)} of "s3" is unknown. Send "bucket" and "key".')
    parts = [value.get("bucket"), value.get("key"), value.get("version_id", "null")]
    for name, part in zip(("bucket", "key", "version_id"), parts, strict=True):
        if not isinstance(part, str) or not part:
            raise RequestInvalid(f'"{name}" of "s3" must be a text that is not empty.')
        if len(part.encode("utf-8", "surrogatepass")) > MAX_S3_KEY_BYTES or _NOT_IN_KEYS.search(part):
            raise RequestInvalid(
                f'"{name}" of "s3" must be at most {MAX_S3_KEY_BYTES} bytes without control characters.'
            )
    return S3Object(value["bucket"], value["key"], value.get("version_id"))


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise RequestInvalid("The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise RequestInvalid("The JSON must be an object.")
    return value


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise RequestInvalid(f"The JSON has the key {_shown({name: None})} more than once.")
            names.add(name)
    return value


def _top_of_query(query: Mapping[str, Sequence[str]]) -> str | None:
    """``?top=K`` or ``?scores=all``, as text."""
    tops, scores = query.get("top", ()), query.get("scores", ())
    if len(tops) + len(scores) > 1:
        raise RequestInvalid('Send "top" or "scores" once, not both and not several.')
    if scores:
        if scores[0] != "all":
            raise RequestInvalid('"scores" can only be "all".')
        return "all"
    return tops[0] if tops else None


def _top_of_json(value: dict[str, Any]) -> str | None:
    """Take ``top`` out of an object: a whole number or "all"."""
    if "top" not in value:
        return None
    top = value.pop("top")
    if top == "all":
        return "all"
    if isinstance(top, bool) or not isinstance(top, int | float) or top != top // 1 or not 1 <= top <= MAX_TOP:
        raise RequestInvalid(f'"top" must be a whole number from 1 to {MAX_TOP}, or "all".')
    return str(int(top))


def _only_one(first: str | None, second: str | None) -> str | None:
    if first is not None and second is not None:
        raise RequestInvalid('"top" is both in the address and in the body. Send it once.')
    return second if first is None else first


def _count(top: str | None) -> int | None:
    if top is None:
        return DEFAULT_TOP
    if top == "all":
        return None
    if not (top.isascii() and top.isdigit() and len(top) <= 4 and int(top) >= 1):
        raise RequestInvalid(f'"top" must be a whole number from 1 to {MAX_TOP}, or "all".')
    return int(top)


def _shown(keys: Mapping[str, Any]) -> str:
    """The first key, shortened and escaped."""
    return ascii(str(next(iter(keys)))[:40])
