"""No image, key, token, file name or signed URL is in a log line, a metric or a response, in any failure."""

from __future__ import annotations

import base64
import json
import re
import traceback
from typing import Any

import pytest
from events import Context, base64_of, form_body, http, json_body, rest
from fakes import Broken, FakeS3, make_app
from hypothesis import given
from hypothesis import strategies as st
from images import jpeg, noise
from loupe.classifier import Classifier
from loupe.errors import UrlUnreachable
from loupe.redaction import MAX_CHARACTERS, redacted

IMAGE = jpeg(noise(64, 64))
BROKEN = IMAGE[: len(IMAGE) // 2]
HEADERS = {
    "X-Api-Key": "hush-api-key",
    "Authorization": "Bearer hush-token",
    "Cookie": "session=hush-cookie",
    "X-Forwarded-For": "203.0.113.77",
}
SIGNED = "https://images.example/a/b.jpg?X-Amz-Signature=hush-signature&X-Amz-Credential=hush-credential"
WITH_PASSWORD = "https://hush-user:hush-password@images.example/a.jpg"
REQUESTS: dict[str, dict[str, Any]] = {
    "bytes": {"body": IMAGE, "headers": {"Content-Type": "image/jpeg"}},
    "half an image": {"body": BROKEN, "headers": {"Content-Type": "image/jpeg"}},
    "no image": {"body": b"hush-text " * 50, "headers": {"Content-Type": "image/jpeg"}},
    "base64": json_body({"image": base64_of(IMAGE)}),
    "bad base64": json_body({"image": "hush-text!" + base64_of(IMAGE)}),
    "form": form_body(("image", IMAGE, "hush-name.jpg", "image/jpeg")),
    "form with text": form_body(
        ("image", b"hush-text", "hush-name.jpg", "image/jpeg"), ("top", b"hush-top", None, None)
    ),
    "broken form": {"body": b"--XyZ\r\nhush-part", "headers": {"Content-Type": "multipart/form-data; boundary=XyZ"}},
    "no JSON": {"body": '{"image": "hush-text', "headers": {"Content-Type": "application/json"}},
    "an unknown type": {"body": b"hush-text", "headers": {"Content-Type": "text/hush-type"}},
    "signed URL": json_body({"url": SIGNED}),
    "URL that cannot be reached": json_body({"url": SIGNED.replace("images", "down")}),
    "URL with a password": json_body({"url": WITH_PASSWORD}),
    "S3": json_body({"s3": {"bucket": "hush-bucket", "key": "hush-key.jpg", "versionId": "hush-version"}}),
    "batch": {
        **json_body({"items": [{"image": base64_of(IMAGE)}, {"url": SIGNED}, {"image": base64_of(BROKEN)}]}),
        "path": "/v1/classify/batch",
    },
    "query": {
        "body": IMAGE,
        "headers": {"Content-Type": "image/jpeg"},
        "query": {"token": "hush-query"},
    },
}  # fmt: skip


def secrets() -> list[str]:
    # Any part of the image's bytes in a text encoding: base64 from the start, hexadecimal, Python's own.
    return [base64.b64encode(IMAGE[:30]).decode(), IMAGE[40:60].hex(), repr(IMAGE[60:90])[2:-1], "203.0.113.77"]


def assert_silent(capfd: pytest.CaptureFixture[str], answer: Any) -> None:
    captured = capfd.readouterr()
    assert '"request_id"' in captured.out  # there is a line
    text = captured.out + captured.err + json.dumps(answer)
    assert "hush-" not in text, text[max(0, text.index("hush-") - 80) :][:160]
    assert not [secret for secret in secrets() if secret in text]


@pytest.mark.parametrize("make", [rest, http])
@pytest.mark.parametrize("name", REQUESTS)
def test_log_of_a_request_contains_nothing_private(
    name: str, make: Any, classifier: Classifier, capfd: pytest.CaptureFixture[str]
) -> None:
    pages: dict[str, Any] = {SIGNED: IMAGE, SIGNED.replace("images", "down"): UrlUnreachable("It is down.")}
    app = make_app(classifier, pages=pages, s3=FakeS3({}))
    request = REQUESTS[name]
    event = make(**{**request, "headers": {**HEADERS, **request["headers"]}})
    assert_silent(capfd, app.http(event, Context()))


@pytest.mark.parametrize("source", ["image", "url", "s3"])
def test_log_of_a_direct_invocation_contains_nothing_private(
    source: str, classifier: Classifier, capfd: pytest.CaptureFixture[str]
) -> None:
    values: dict[str, Any] = {
        "image": base64_of(BROKEN), "url": WITH_PASSWORD, "s3": {"bucket": "hush-bucket", "key": "hush-key"},
    }  # fmt: skip
    assert_silent(capfd, make_app(classifier).direct({source: values[source]}, Context()))


def test_a_crash_shows_its_trace_and_no_request(classifier: Classifier, capfd: pytest.CaptureFixture[str]) -> None:
    app = make_app(classifier, sources=Broken(RuntimeError("what nobody foresaw")))
    event = rest(**{**json_body({"url": SIGNED}), "headers": {**HEADERS, "Content-Type": "application/json"}})
    answer = app.http(event, Context())
    out = capfd.readouterr().out
    assert answer["statusCode"] == 500
    assert "what nobody foresaw" in out  # the exception is logged
    assert "what nobody foresaw" not in json.dumps(answer)
    assert "hush-" not in out + json.dumps(answer)


@pytest.mark.parametrize(
    "message",
    [
        f"cannot get {SIGNED}",
        f"cannot get {WITH_PASSWORD}: refused",
        "cannot get s3://hush-user@bucket/hush-key",
        "URL can't contain control characters. '/b.jpg?X-Amz-Signature=hush-signature hush-rest' (found at least ' ')",
        repr(HEADERS),
        "\n".join(f"{name}: {value}" for name, value in HEADERS.items() if not name.startswith("X-F")),
        "Authorization: AWS4-HMAC-SHA256 Credential=hush-id/20261101, Signature=hush-signature",
        "session_token=hush-token, password = 'hush-word'",
        f"no image: {IMAGE!r}",
        f"no image: {bytearray(IMAGE)!r}",
        f"no image: {base64_of(IMAGE)}",
        f"no image: {IMAGE.hex()}",
        "no image: " + repr(b"hush-text'" + IMAGE)[:40],  # cut off
    ],
)
@pytest.mark.parametrize("cause", [False, True])
def test_exception_text_is_logged_without_request_content(
    message: str, cause: bool, classifier: Classifier, capfd: pytest.CaptureFixture[str]
) -> None:
    error = RuntimeError("outer" if cause else message)
    error.__cause__ = ValueError(message) if cause else None
    app = make_app(classifier, sources=Broken(error))
    answer = app.http(rest(**json_body({"url": SIGNED})), Context())
    out = capfd.readouterr().out
    assert "Traceback (most recent call last)" in out
    assert "RuntimeError" in out
    logged = out.replace("203.0.113.77", "")
    assert "hush-" not in logged, logged[max(0, logged.index("hush-") - 80) :][:160]
    assert not [secret for secret in secrets() if secret in logged.replace("\\\\", "\\")]
    assert message not in json.dumps(answer)


def test_trace_without_secrets_is_logged_unchanged() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        text = "".join(traceback.format_exception(error))
    assert redacted(text) == text


@pytest.mark.parametrize("part", ["?a", "b'\\x00", "://", "token=", "x y ", "a@", "Bearer "])
def test_a_very_long_text_is_cut(part: str) -> None:
    """A backtracking pattern would not finish here."""
    assert len(redacted(part * 100_000)) < MAX_CHARACTERS + 100


def test_a_cut_text_states_how_many_characters_are_left_out() -> None:
    lines = [f"line {number}" for number in range(5000)]
    head, note, tail = re.split(r"\n(\[\d+ characters left out\])\n", redacted("\n".join(lines)))
    assert lines[: head.count("\n") + 1] == head.split("\n")
    assert lines[-tail.count("\n") - 1 :] == tail.split("\n")
    assert note == f"[{len(chr(10).join(lines)) - len(head) - len(tail)} characters left out]"


@given(st.binary(min_size=30, max_size=300), st.sampled_from(["repr", "base64", "hex"]), st.text(max_size=30))
def test_bytes_in_a_trace_are_redacted(content: bytes, form: str, around: str) -> None:
    data = content * 3
    shown = {"repr": repr(data), "base64": base64.b64encode(data).decode(), "hex": data.hex()}[form]
    assert shown not in redacted(f"{around} {shown} {around}")


def test_secrets_are_searched_in_every_encoding() -> None:
    """The check of these tests detects them."""
    text = base64_of(IMAGE) + IMAGE.hex() + repr(IMAGE) + json.dumps(HEADERS)
    assert all(secret in text for secret in secrets())
