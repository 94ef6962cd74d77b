"""Readers of requests: JSON, forms, base64, event envelopes, URLs, and what goes to the log."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

from events import http, rest
from growth import Reader, repeated
from loupe.card import load_card
from loupe.errors import InternalError, Problem, RequestInvalid, UrlNotAllowed
from loupe.http import cors
from loupe.http.diagnosis import damage, diagnosis
from loupe.http.envelope import unwrap
from loupe.http.form import read_form
from loupe.http.request import batch_from_http, from_http, from_payload
from loupe.http.response import cacheable
from loupe.http.routes import find
from loupe.image import Limits
from loupe.prediction import ModelInfo
from loupe.redaction import redacted
from loupe.settings import MetricsRules
from loupe.sources.inline import decode_base64
from loupe.sources.url import Url, UrlRules
from loupe.sources.url_fetcher import Fetcher
from loupe.telemetry import Observation, Telemetry

LIMITS = Limits()
MODEL = Path(__file__).parents[2] / "models" / "hair-type"
CARD = load_card(MODEL)
PART = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


def _post(content_type: str) -> Any:
    def read(body: bytes) -> object:
        return from_http(unwrap(rest(body=body, headers={"Content-Type": content_type})), LIMITS)

    return read


def _batch(body: bytes) -> object:
    return batch_from_http(unwrap(rest(body=body, headers={"Content-Type": "application/json"})), LIMITS, 32)


def _keys(size: int) -> bytes:
    """Different keys, and one of them twice."""
    names = [f'"k{number}":0' for number in range(size // 12)]
    return ("{" + ",".join([*names, *names[-1:]]) + "}").encode()


def _logged(text: str) -> None:
    """Log a request whose URL, problem and unexpected error repeat what the caller sent."""
    telemetry = Telemetry("test", "INFO", MetricsRules(), "on-demand")
    for problem in (RequestInvalid(text), InternalError.from_exception(RuntimeError(text))):
        observation = Observation("request-1", "http", ModelInfo.of(CARD), "classify")
        observation.source, observation.problem = Url(text), problem
        telemetry.report(observation)


def _answered(text: str) -> None:
    """Find a route by a path, and answer conditionally, with a caller's text in both."""
    request = unwrap(rest("GET", f"/{text}", headers={"If-None-Match": text, "Origin": text}))
    cacheable("body", cors.headers(["https://a.example"], request), request.headers["if-none-match"])
    with suppress(Problem):
        find(request.method, request.path)


JSON_FAMILIES = {
    "one key repeated": repeated(b'"a":0,', b"{", b'"a":0}'),
    "many keys, one twice": _keys,
    "every key twice": lambda size: b"{" + _keys(size // 2)[1:-1] + b"," + _keys(size // 2)[1:],
    "nested lists": repeated(b"["),
    "nested objects": repeated(b'{"a":'),
    "a long number": repeated(b"9", b'{"top":', b"}"),
    "a long fraction": repeated(b"9", b'{"top":0.', b"e99999}"),
    "a long text": repeated(b"x", b'{"url":"', b'"}'),
    "a long URL": repeated(b"a", b'{"url":"https://', b'"}'),
    "a long S3 key": repeated(b"k", b'{"s3":{"bucket":"b","key":"', b'"}}'),
    "escapes": repeated(b"\\ud83d", b'{"image":"', b'"}'),
    "white space": repeated(b" "),
    "white space in base64": repeated(b"A\\n", b'{"image":"', b'"}'),
    "a long key": repeated(b"k", b'{"', b'":0}'),
    "items": repeated(b"{},", b'{"items":[', b"{}]}"),
    "no JSON": repeated(b"\xff"),
}

TEXTS = {
    f"{before}{part!r}": repeated(part, before)
    for part, before in (
        ("a-", ""), ("a", ""), ("token", ""), ("a.", ""), ("://", ""), ("a://", ""), ("?a", ""), ("??", ""),
        ("b'\\", ""), ("b'", ""), ("\\", "b'"), ("a@", "https://"), ("Bearer ", ""), (" ", "bearer"), ("\n", "bearer"),
        ("token ", ""), (" ", "token"), ("x-amz-", ""), ("-_", ""), ("A", ""), ("=", "token"), ("bytearray(", ""),
        ("bearer\n", ""), ("\n", ""), ("a\n", ""), ("https://a-", ""),
    )
}  # fmt: skip

READERS = (
    Reader(
        "JSON",
        ("loupe.http.request:from_http", "loupe.json_body:json_object", "loupe.sources.inline:decode_base64"),
        _post("application/json"),
        JSON_FAMILIES,
        1.0,
        (Problem,),
    ),
    Reader("JSON", ("loupe.http.request:batch_from_http",), _batch, JSON_FAMILIES, 1.0, (Problem,)),
    Reader(
        "JSON",
        ("loupe.http.request:from_payload",),
        lambda value: from_payload(value, LIMITS),
        {
            "many keys": lambda size: dict.fromkeys(map(str, range(size // 8))),
            "a long text": lambda size: {"url": "a" * size},
            "a large number": lambda size: {"url": "a", "top": 10 ** min(size, 4000)},
        },
        1.0,
        (Problem,),
    ),
    Reader(
        "multipart",
        ("loupe.http.form:read_form",),
        lambda body: read_form("multipart/form-data; boundary=B", body),
        {
            "many parts": repeated(PART + b"\r\n", b"", b"--B--\r\n"),
            "almost boundaries": repeated(b"\r\n--", PART, b"\r\n--B--\r\n"),
            "carriage returns": repeated(b"\r", PART, b"\r\n--B--\r\n"),
            "line feeds": repeated(b"\n", PART, b"\r\n--B--\r\n"),
            "a long header": repeated(b"a", b"--B\r\n", b": b\r\n\r\n\r\n--B--\r\n"),
            "many headers": repeated(b"a: b\r\n", b"--B\r\n", b"\r\n\r\n--B--\r\n"),
            "a long header value": repeated(b'\\"', b'--B\r\nContent-Disposition: form-data; name="', b'"\r\n\r\n'),
            "many header options": repeated(b"; a=b", b"--B\r\nContent-Disposition: form-data", b"\r\n\r\n"),
            "quotation marks": repeated(b'"', b"--B\r\nContent-Disposition: form-data; name=", b"\r\n\r\n"),
            "a long file": repeated(b"x", PART, b"\r\n--B--\r\n"),
            "a preamble": repeated(b"-", b"", b"\r\n--B--\r\n"),
            "after the end": repeated(b"x", b"--B--\r\n"),
        },
        4.0,
        (Problem,),
    ),
    Reader(
        "multipart",
        ("loupe.http.form:read_form",),
        lambda content_type: read_form(content_type, b"--B--\r\n"),
        {
            "a long boundary": repeated("B", "multipart/form-data; boundary="),
            "many options": repeated("; a=b", "multipart/form-data"),
            "escaped quotation marks": repeated('\\"', 'multipart/form-data; boundary="', '"'),
            "open quotation marks": repeated('"', "multipart/form-data; boundary="),
            "encoded options": repeated("; a*0*=utf-8''%41", "multipart/form-data"),
        },
        4.0,
        (Problem,),
        # API Gateway takes 10,240 bytes of headers together.
        largest=65_536,
    ),
    Reader(
        "base64",
        ("loupe.sources.inline:decode_base64",),
        lambda text: decode_base64(text, LIMITS),
        {
            "letters": repeated("A"),
            "line breaks": repeated("A\n"),
            "white space": repeated(" "),
            "padding": repeated("="),
            "bad letters": repeated("!"),
            "a data URI without its comma": repeated(";", "data:"),
            "URL-safe letters": repeated("-_"),
            "other scripts": repeated("\u0665"),
        },
        1.2,
        (Problem,),
    ),
    Reader(
        "media type",
        ("loupe.http.request:from_http",),
        _post("image/jpeg"),
        {
            "text": repeated(b"text "),
            "base64 text": lambda size: base64.b64encode(bytes(size)),
            "a data URI": repeated(b"A", b"data:image/jpeg;base64,"),
            "replacement characters": repeated("\ufffd".encode()),
            "white space": repeated(b" \n"),
        },
        0.5,
        (Problem,),
    ),
    Reader(
        "media type",
        ("loupe.http.diagnosis:diagnosis", "loupe.http.diagnosis:damage"),
        lambda body: (diagnosis(body), damage(body)),
        {
            "white space": repeated(b" \n"),
            "form fields": repeated(b"a"),
            "brackets": repeated(b"[]", b"a"),
            "almost replacement characters": repeated(b"\xef\xbf"),
            "base64 letters": repeated(b"/9j/"),
            "quotation marks": repeated(b'"'),
            "zeros": repeated(b"\x00"),
        },
        0.5,
    ),
    Reader(
        "media type",
        ("loupe.http.request:from_http",),
        lambda kind: from_http(unwrap(rest(body=b"?", headers={"Content-Type": kind})), LIMITS),
        {"a long type": repeated("a"), "many parameters": repeated(";"), "white space": repeated(" ")},
        1.0,
        (Problem,),
        largest=65_536,
    ),
    Reader(
        "URL",
        ("loupe.http.envelope:unwrap",),
        lambda query: from_http(unwrap(http(body=b"?", rawQueryString=query)), LIMITS),
        {
            "many parameters": repeated("a=1&"),
            "one parameter repeated": repeated("top=1&"),
            "ampersands": repeated("&"),
            "escapes": repeated("%41"),
            "broken escapes": repeated("%"),
            "a long name": repeated("a"),
        },
        2.0,
        (Problem,),
    ),
    Reader(
        "headers",
        ("loupe.http.envelope:unwrap", "loupe.http.response:cacheable", "loupe.http.routes:find"),
        _answered,
        {"commas": repeated(","), "tags": repeated('W/"a", '), "slashes": repeated("/"), "white space": repeated(" ")},
        2.0,
    ),
    Reader(
        "URL",
        ("loupe.sources.url_fetcher:Fetcher.fetch",),
        Fetcher(UrlRules(policy="public"), 10, lambda *_: ()).fetch,
        {
            "a long host": repeated("a", "https://"),
            "many labels": repeated("a.", "https://"),
            "digits": repeated("1.", "https://"),
            "user names": repeated("@", "https://"),
            "a long path": repeated("/", "https://a"),
            "brackets": repeated("[", "https://"),
            "a long port": repeated("9", "https://a:"),
            "backslashes": repeated("\\", "https://"),
            "no scheme": repeated(":"),
        },
        1.0,
        (UrlNotAllowed,),
    ),
    Reader(
        "redaction",
        ("loupe.redaction:redacted",),
        redacted,
        TEXTS,
        1.0,
    ),
    Reader("logging", ("loupe.telemetry:Telemetry.report",), _logged, TEXTS, 2.0),
)
