"""Parse a request into an image source and a top-k limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.errors import BatchTooLarge, Problem, RequestInvalid, UnsupportedMediaType
from loupe.formats import media_type_of, names_of
from loupe.json_body import json_object, shown
from loupe.prediction import DEFAULT_TOP, MAX_TOP
from loupe.sources import EXACTLY_ONE, parse_source
from loupe.sources.inline import Inline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loupe.http.envelope import HttpRequest
    from loupe.image import Limits
    from loupe.sources import Source

_SEND_BATCH = (
    'Send {"items": [{"image": "<base64>"}, {"url": "https://..."}]}; a single image goes to POST /v1/classify.'
)
# Bytes at the start of a body that are examined to detect its format; JSON's white space and a byte order mark.
_PROBE = 4096
_WHITE = b" \t\r\n\xef\xbb\xbf"
# U+FFFD in UTF-8.
_REPLACEMENT = b"\xef\xbf\xbd"


class ClassifyRequest(NamedTuple):
    """One image to classify; ``top`` is the number of scores to return, None for all."""

    source: Source
    top: int | None = DEFAULT_TOP


class BatchRequest(NamedTuple):
    """Several images; the problem of an invalid item takes its place."""

    items: tuple[Source | Problem, ...]
    top: int | None = DEFAULT_TOP


def from_http(request: HttpRequest, limits: Limits) -> ClassifyRequest:
    """Parse ``POST /v1/classify``. The content determines the format: many clients send no or a wrong media type.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge, loupe.errors.UnsupportedMediaType,
    loupe.errors.ImageUndecodable
    """
    top = _top_of_query(request.query)
    body, kind = request.body, request.content_type
    if not body:
        raise RequestInvalid(f"The body is empty. Send the image itself, or JSON with {EXACTLY_ONE}.")
    if media_type_of(body):
        return ClassifyRequest(Inline(_intact(body)), _count(top))
    if kind == "multipart/form-data":
        return _from_form(request.headers["content-type"], body, top)
    if _is_json(kind, body):
        value = _object(body, request)
        top = _at_most_one(top, _top_of_json(value))
        return ClassifyRequest(parse_source(value, limits), _count(top))
    _reject_recognized(body, request)
    if kind.startswith("image/"):
        return ClassifyRequest(Inline(body), _count(top))  # decoding rejects it, and names its format
    raise UnsupportedMediaType(
        f"The body is neither an image ({names_of(limits.formats)}) nor JSON nor a form. "
        "Send the file's bytes, application/json, or multipart/form-data."
    )


def from_payload(payload: Any, limits: Limits) -> ClassifyRequest:
    """Parse the payload of a direct invocation: one source and an optional ``top``.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.ImageTooLarge
    """
    if not isinstance(payload, dict):
        raise RequestInvalid(f"The payload must be an object with {EXACTLY_ONE}.")
    fields = dict(payload)
    top = _top_of_json(fields)
    return ClassifyRequest(parse_source(fields, limits), _count(top))


def batch_from_http(request: HttpRequest, limits: Limits, max_items: int) -> BatchRequest:
    """Parse ``POST /v1/classify/batch``.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.BatchTooLarge, loupe.errors.UnsupportedMediaType
        Only for the batch as a whole: the problem of an item takes its place.
    """
    top = _top_of_query(request.query)
    body, kind = request.body, request.content_type
    if not body:
        raise RequestInvalid('The body is empty. Send JSON: {"items": [...]}.')
    if media_type_of(body):
        raise UnsupportedMediaType(f"The body is an image; a batch is JSON. {_SEND_BATCH}")
    if kind == "multipart/form-data":
        raise UnsupportedMediaType(f"The body is a form; a batch is JSON. {_SEND_BATCH}")
    return batch_from_payload(_object(body, request), limits, max_items, top)


def batch_from_payload(
    payload: Mapping[str, Any], limits: Limits, max_items: int, query_top: str | None = None
) -> BatchRequest:
    """Parse the JSON of a batch; raises as `batch_from_http`."""
    fields = dict(payload)
    top = _count(_at_most_one(query_top, _top_of_json(fields)))
    items = fields.pop("items", None)
    if fields:
        raise RequestInvalid(f'The key {_first(fields)} is unknown. Send "items", and perhaps "top".')
    if not isinstance(items, list) or not items:
        raise RequestInvalid(f'"items" must be a list of at least one object with {EXACTLY_ONE}.')
    if len(items) > max_items:
        raise BatchTooLarge(f"The batch has {len(items)} items; at most {max_items} are allowed. Send several batches.")
    return BatchRequest(tuple(_item(item, limits) for item in items), top)


def expect_nothing(request: HttpRequest) -> None:
    """Reject a body and query parameters on a route that takes neither.

    Raises
    ------
    loupe.errors.RequestInvalid, loupe.errors.UnsupportedMediaType
    """
    _reject_unknown(request.query, ())
    body = request.body
    if media_type_of(body) or request.content_type == "multipart/form-data":
        raise UnsupportedMediaType(
            "This call takes no image. It answers with the address to send the image to: call it with an empty body."
        )
    if body.strip() and json_object(body):
        raise RequestInvalid("This call takes no body, or an empty object.")


def _from_form(content_type: str, body: bytes, query_top: str | None) -> ClassifyRequest:
    from loupe.http.form import read_form

    form = read_form(content_type, body)
    top = _at_most_one(query_top, form.fields.pop("top", None))
    if form.fields:
        raise RequestInvalid(f"The form's field {_first(form.fields)} is unknown. Send one file, and perhaps top.")
    if not form.file:
        raise RequestInvalid("The form's file is empty.")
    if media_type_of(form.file):
        return ClassifyRequest(Inline(_intact(form.file)), _count(top))
    _reject_recognized(form.file)
    return ClassifyRequest(Inline(form.file), _count(top))


def _is_json(kind: str, body: bytes) -> bool:
    """Whether a body is JSON by its media type or, if that is another one, by its first character."""
    return kind == "application/json" or kind.endswith("+json") or body[:_PROBE].lstrip(_WHITE)[:1] == b"{"


def _object(body: bytes, request: HttpRequest) -> dict[str, Any]:
    """Parse a JSON object. A body of another format is rejected by its format, not by the position of a JSON error."""
    if body[:_PROBE].lstrip(_WHITE)[:1] != b"{":
        _reject_recognized(body, request)
    return json_object(body)


def _intact(image: bytes) -> bytes:
    """Return the image; reject one that was damaged because it was sent as text."""
    if b"\0" in image and _REPLACEMENT not in image[:_PROBE]:
        return image
    from loupe.http.diagnosis import damage

    problem = damage(image)
    if problem is not None:
        raise problem
    return image


def _reject_recognized(body: bytes, request: HttpRequest | None = None) -> None:
    """Reject a body that `diagnosis` recognizes."""
    from loupe.http.diagnosis import diagnosis

    problem = diagnosis(body, "" if request is None else request.headers.get("content-encoding", ""))
    if problem is not None:
        raise problem


def _item(value: Any, limits: Limits) -> Source | Problem:
    try:
        return parse_source(value, limits)
    except Problem as problem:
        return problem


def _top_of_query(query: Mapping[str, Sequence[str]]) -> str | None:
    """Return ``?top=K`` or ``?scores=all`` as text; reject other parameters."""
    _reject_unknown(query, ("top", "scores"))
    tops, scores = query.get("top", ()), query.get("scores", ())
    if len(tops) + len(scores) > 1:
        raise RequestInvalid('Send "top" or "scores" once, not both and not several.')
    if scores:
        if scores[0] != "all":
            raise RequestInvalid('"scores" can only be "all".')
        return "all"
    return tops[0] if tops else None


def _top_of_json(value: dict[str, Any]) -> str | None:
    """Remove ``top`` from an object and return it: a whole number or "all"."""
    if "top" not in value:
        return None
    top = value.pop("top")
    if top == "all":
        return "all"
    if isinstance(top, bool) or not isinstance(top, int | float) or top != top // 1 or not 1 <= top <= MAX_TOP:
        raise RequestInvalid(f'"top" must be a whole number from 1 to {MAX_TOP}, or "all".')
    return str(int(top))


def _at_most_one(first: str | None, second: str | None) -> str | None:
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


def _reject_unknown(query: Mapping[str, Sequence[str]], accepted: tuple[str, ...]) -> None:
    # Query parameters of an AWS signature belong to the gateway.
    unknown = [name for name in query if name not in accepted and not name.lower().startswith("x-amz-")]
    if unknown:
        takes = f"This call takes {' and '.join(accepted)}." if accepted else "This call takes none."
        raise RequestInvalid(f"The query parameter {_first(unknown)} is unknown. {takes}")


def _first(keys: Iterable[object]) -> str:
    return shown(next(iter(keys)))
