"""Fuzz targets for requests and for what is logged of them: JSON, forms, bodies, base64, events, URLs, redaction.

    nice -n 19 .venv/bin/python tests/fuzz/fuzz_http.py json -runs=200000

The other arguments are libFuzzer's. Seeds are written to `.local/fuzz`. A target fails on any exception that its
reader does not promise, and on a problem that is not a short sentence with a 4xx status.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "function"), str(ROOT / "tests" / "unit")]

import atheris  # noqa: E402 (after the path)

with atheris.instrument_imports(include=["loupe", "python_multipart"]):
    from loupe.card import load_card
    from loupe.errors import Problem, UrlNotAllowed
    from loupe.http.app import App
    from loupe.http.diagnosis import damage, diagnosis
    from loupe.http.envelope import is_http, unwrap
    from loupe.http.request import BatchRequest, ClassifyRequest, batch_from_http, from_http, from_payload
    from loupe.image import Limits
    from loupe.prediction import ModelInfo
    from loupe.redaction import MAX_CHARACTERS, redacted
    from loupe.service import BatchResult
    from loupe.settings import MetricsRules
    from loupe.sources import Sources
    from loupe.sources.addresses import is_public
    from loupe.sources.connection import Deadline
    from loupe.sources.inline import decode_base64
    from loupe.sources.s3 import S3Rules
    from loupe.sources.url import UrlRules
    from loupe.sources.url_fetcher import Fetcher
    from loupe.telemetry import Telemetry

from events import form_body, http, rest  # noqa: E402
from folders import seed_folder  # noqa: E402

LIMITS = Limits(max_bytes=100_000)
LONGEST_SENTENCE = 400
CARD = load_card(ROOT / "models" / "hair-type")
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"
SECRET = "Xq7Zk93mVb0TnR5yLw8sJd2fGh4aPc6eUi1oQxZz"
# A public and a private address; the resolver gives one of them by the host's length.
ADDRESSES = (ipaddress.ip_address("93.184.216.34"), ipaddress.ip_address("10.0.0.1"))
FETCHER = Fetcher(
    UrlRules(policy="public", schemes=("https", "http"), ports=(443, 80)),
    10,
    lambda host, *_: (ADDRESSES[len(host) % 2],),
)


class _Nothing:
    """A service that rejects every image, as one without a decoder would."""

    card, limits, model = CARD, LIMITS, ModelInfo.of(CARD)

    def classify(self, image: Any, **_: Any) -> Any:
        raise UrlNotAllowed("No image is decoded here.")

    def classify_many(self, images: list[Any], **_: Any) -> BatchResult:
        rejected = UrlNotAllowed("No image is decoded here.")
        return BatchResult([image if isinstance(image, Problem) else rejected for image in images])


RULES = UrlRules(policy="off")
APP = App(
    _Nothing(),  # type: ignore[arg-type]
    Sources.of(RULES, S3Rules(), LIMITS),
    Telemetry("fuzz", "INFO", MetricsRules(), "on-demand"),
    s3_rules=S3Rules(),
)
CONTEXT = SimpleNamespace(aws_request_id="request-1", get_remaining_time_in_millis=lambda: 5_000)


def _sentence(problem: Problem) -> None:
    assert 400 <= problem.status < 500, problem.status
    assert problem.detail.endswith((".", '"')), problem.detail
    assert len(problem.detail) < LONGEST_SENTENCE, problem.detail
    assert problem.detail.isprintable(), ascii(problem.detail)


def _read(call: Callable[[], object], kinds: tuple[type, ...]) -> None:
    try:
        value = call()
    except Problem as problem:
        _sentence(problem)
        return
    assert isinstance(value, kinds), type(value)


def fuzz_json(data: bytes) -> None:
    """Any bytes as JSON, to both routes."""
    request = unwrap(rest(body=data, headers={"Content-Type": "application/json"}))
    _read(lambda: from_http(request, LIMITS), (ClassifyRequest,))
    _read(lambda: batch_from_http(request, LIMITS, 8), (BatchRequest,))


def fuzz_form(data: bytes) -> None:
    """Any bytes as a form; a first line is the rest of its Content-Type."""
    parameters, _, body = data.partition(b"\n")
    kind = f"multipart/form-data;{parameters.decode('latin-1')}"
    for content_type in (kind, "multipart/form-data; boundary=XyZ"):
        request = unwrap(rest(body=body, headers={"Content-Type": content_type}))
        _read(lambda request=request: from_http(request, LIMITS), (ClassifyRequest,))  # type: ignore[misc]


def fuzz_body(data: bytes) -> None:
    """Any bytes with any media type; the first line is the type."""
    kind, _, body = data.partition(b"\n")
    request = unwrap(http(body=body, headers={"Content-Type": kind.decode("latin-1")}))
    _read(lambda: from_http(request, LIMITS), (ClassifyRequest,))
    for problem in (diagnosis(body, kind.decode("latin-1")), damage(body)):
        if problem is not None:
            _sentence(problem)


def fuzz_base64(data: bytes) -> None:
    """Any text: bytes, or a problem; what is base64 by the standard library comes back whole."""
    text = data.decode("utf-8", "replace")
    _read(lambda: decode_base64(text, LIMITS), (bytes,))
    if data:
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            assert decode_base64(encode(data).decode().rstrip("="), LIMITS) == data
    _read(lambda: from_payload({"image": text, "top": len(data)}, LIMITS), (ClassifyRequest,))


def fuzz_event(data: bytes) -> None:
    """Any JSON as an event, or as parts of one: an answer that is a proxy response or an object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    events = [value]
    if isinstance(value, dict):
        events += [{**rest(), **value}, {**http(), **value}]
    for event in events:
        if is_http(event):
            answer = APP.http(event, CONTEXT)
            assert answer["statusCode"] < 500, answer
            assert isinstance(answer["body"], str)
        else:
            answer = APP.direct(event, CONTEXT)
            assert "error" in answer or "results" in answer, answer
            assert answer.get("error", {"status": 400})["status"] < 500, answer


def fuzz_url(data: bytes) -> None:
    """Any URL: a target with public addresses only, or `UrlNotAllowed`."""
    # As it is, and as printable characters after a scheme: most bytes are not URLs.
    for url in (data.decode("utf-8", "surrogateescape"), "https://" + "".join(chr(33 + byte % 94) for byte in data)):
        _check(url)


def _check(url: str) -> None:
    try:
        target = FETCHER.check(url, Deadline(5.0))
    except UrlNotAllowed as problem:
        _sentence(problem)
        return
    assert target.scheme in ("http", "https")
    assert target.port in (80, 443)
    assert target.addresses
    assert all(is_public(address) for address in target.addresses)
    line = f"{target.host}{target.path}"
    assert line.isascii()
    assert line.isprintable(), ascii(line)
    assert " " not in line


def fuzz_redaction(data: bytes) -> None:
    """Any text around secrets: none of them is left, and the result is bounded."""
    before, _, after = data.decode("utf-8", "replace").partition("|")
    # Whatever stands before on the line may make another pattern take the rest away; never the secret alone stays.
    text = redacted(f"{before}\npassword={SECRET}\n{after}\nhttps://user:{SECRET}@host.example/{SECRET}")
    assert SECRET not in text, text
    assert len(text) < 2 * MAX_CHARACTERS + 1000


def _seeds(name: str) -> list[bytes]:
    image = base64.b64encode(JPEG).decode()
    values: list[Any] = [
        {"url": "https://example.com/a.jpg", "top": 3}, {"image": image}, {"s3": {"bucket": "b", "key": "k"}},
        {"items": [{"url": "https://example.com"}, {"image": image}], "top": "all"}, {"image": f"data:;base64,{image}"},
    ]  # fmt: skip
    if name == "json":
        return [json.dumps(value).encode() for value in values]
    if name == "form":
        forms = [
            form_body(("file", JPEG, "a.jpg", "image/jpeg"), ("top", b"1", None, None)),
            form_body(("file", JPEG, None, None)),
            form_body(("file", b"@a.jpg", None, None)),
        ]
        return [b"boundary=XyZ\n" + form["body"] for form in forms] + [b'boundary="X\\"yZ"\n--X"yZ--']
    if name == "body":
        kinds = [b"image/jpeg", b"", b"text/plain", b"application/json"]
        bodies = [JPEG, base64.b64encode(JPEG), b"\xef\xbf\xbd" * 4, b"image=a", b"@a.jpg", b"\x1f\x8b", b'{"url":"a"}']
        return [kind + b"\n" + body for kind in kinds for body in bodies]
    if name == "event":
        events: list[Any] = [*values, rest(body=json.dumps(values[0])), http(body=JPEG), rest("GET", "/v1/models")]
        return [json.dumps(value).encode() for value in events]
    if name == "url":
        hosts = ("example.com", "user:x@a.example", "127.0.0.1", "[::1]", "1.2", "0x7f.1", "a..b", "xn--a", "a:80")
        return [f"https://{host}/p?q#f".encode() for host in hosts]
    if name == "redaction":
        return [b"Traceback|at https://host/a?b=c", b"bearer abc|b'\\x00'", b"token: x|" + b"A" * 100, b"a-" * 50]
    return [image.encode(), b"data:image/png;base64,AA", b"-_-_", b"A A\nA=", b"https://a"]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "json": fuzz_json,
    "form": fuzz_form,
    "body": fuzz_body,
    "base64": fuzz_base64,
    "event": fuzz_event,
    "url": fuzz_url,
    "redaction": fuzz_redaction,
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"Name a target: {', '.join(TARGETS)}.")
    name = sys.argv.pop(1)
    logging.disable(logging.CRITICAL)  # as the handler does
    folder = seed_folder(f"http-{name}", _seeds(name))
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (the function's log, for as long as the process lives)
    atheris.Setup([*sys.argv, str(folder)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
