"""Common client mistakes: every one is rejected with a sentence that names it and what to send instead."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest
from events import base64_of, form_body, http, json_body, rest
from fakes import problem_of
from images import gif, jpeg, noise, png, webp
from loupe.errors import ImageUndecodable, Problem, RequestInvalid, UnsupportedMediaType
from loupe.http.envelope import HttpRequest, unwrap
from loupe.http.request import batch_from_http, expect_nothing, from_http, from_payload
from loupe.image import Limits
from loupe.sources.inline import Inline
from loupe.sources.url import Url

LIMITS = Limits()
IMAGES = {"jpeg": jpeg(noise(64, 64)), "png": png(noise(64, 64)), "webp": webp(noise(64, 64)), "gif": gif()}
JPEG = IMAGES["jpeg"]
TYPES = ["", "image/jpeg", "application/octet-stream", "text/plain", "application/json",
         "application/x-www-form-urlencoded"]  # fmt: skip


def function_url(**sent: Any) -> dict[str, Any]:
    """An event of a function URL: payload 2.0 with its own domain and no stage in the path."""
    event = http(**sent)
    event["requestContext"] |= {"domainName": "abc.lambda-url.eu-west-1.on.aws", "accountId": "anonymous"}
    return event


def rejected(body: bytes | str, content_type: str = "", **headers: str) -> Problem:
    sent = {"Content-Type": content_type, **headers} if content_type else headers
    return problem_of(from_http, unwrap(rest(body=body, headers=sent)), LIMITS)


@pytest.mark.parametrize("event", [rest, http, function_url])
@pytest.mark.parametrize("body", [{"image": base64_of(JPEG)}, {"url": "https://example.com/a.jpg"}])
def test_json_may_arrive_base64_encoded(event: Any, body: Any) -> None:
    """API Gateway encodes every body where all media types are binary."""
    text = json.dumps(body)
    headers = {"Content-Type": "application/json"}
    plain, encoded = (from_http(unwrap(event(body=sent, headers=headers)), LIMITS) for sent in (text, text.encode()))
    assert plain == encoded


@pytest.mark.parametrize("event", [rest, http, function_url])
def test_a_batch_may_arrive_base64_encoded(event: Any) -> None:
    body = json.dumps({"items": [{"url": "https://example.com/a.jpg"}]}).encode()
    request = unwrap(event(path="/v1/classify/batch", body=body, headers={"Content-Type": "application/json"}))
    assert len(batch_from_http(request, LIMITS, 4).items) == 1


@pytest.mark.parametrize("start", ["\ufeff", " \r\n\t", "\ufeff "])
def test_json_may_begin_with_a_byte_order_mark_or_white_space(start: str) -> None:
    body = (start + '{"url": "https://example.com/a.jpg"}').encode()
    request = unwrap(rest(body=body, headers={"Content-Type": "text/plain"}))
    assert from_http(request, LIMITS).source == Url("https://example.com/a.jpg")


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif"])
def test_image_decoded_as_text_is_rejected_with_the_reason(name: str, kind: str) -> None:
    text = IMAGES[name].decode("utf-8", "replace")
    for body in (text, text.encode()):
        problem = rejected(body, kind)
        assert isinstance(problem, ImageUndecodable)
        assert "U+FFFD" in problem.detail


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ["jpeg", "png"])
def test_image_as_a_character_string_is_named(name: str, kind: str) -> None:
    """JavaScript's binary strings, and ``bytes.decode("latin-1")``, are sent as UTF-8."""
    assert "Latin-1" in rejected(IMAGES[name].decode("latin-1"), kind).detail


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif"])
def test_image_damaged_by_curl_d_is_rejected_with_data_binary(name: str, kind: str) -> None:
    """``curl -d @file`` removes carriage returns, line feeds and zero bytes."""
    body = IMAGES[name].translate(None, b"\r\n\0")
    assert "--data-binary" in rejected(body, kind).detail


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_base64_text_is_named(name: str, kind: str, encode: Any) -> None:
    for body in (encode(IMAGES[name]), b'"' + encode(IMAGES[name]) + b'"'):
        problem = rejected(body, kind)
        assert isinstance(problem, UnsupportedMediaType)
        assert "base64 text" in problem.detail


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"data:image/jpeg;base64," + base64.b64encode(JPEG), "data URI"),
        (gzip.compress(JPEG), "compressed (gzip)"),
        (b"PK\x03\x04\x14\x00", "ZIP"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
        (b"@photo.jpg", "--data-binary"),
        (b"image=" + quote(base64_of(JPEG)).encode(), "URL-encoded form"),
        (b"url=https%3A%2F%2Fexample.com%2Fa.jpg&top=1", "URL-encoded form"),
        (form_body(("file", JPEG, "a.jpg", None))["body"], "Content-Type is not multipart/form-data"),
    ],
)
@pytest.mark.parametrize("kind", TYPES)
def test_mistaken_body_is_named(body: bytes, words: str, kind: str) -> None:
    problem = rejected(body, kind)
    assert problem.status in (415, 422)
    assert words in problem.detail


def test_a_compressed_body_is_named_by_its_header() -> None:
    problem = rejected(b"\x8b\x03\x00\x80", "application/octet-stream", **{"Content-Encoding": "br"})
    assert "Content-Encoding" in problem.detail


def test_an_intact_image_with_replacement_characters_in_its_metadata_is_classified() -> None:
    comment = "\ufffd\ufffd".encode()
    body = JPEG[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + JPEG[2:]
    assert from_http(unwrap(rest(body=body)), LIMITS).source == Inline(body)


@pytest.mark.parametrize("name", ["file", "image", "top2", ""])
@pytest.mark.parametrize("kind", [None, "image/jpeg", "application/octet-stream", "text/plain"])
def test_a_file_part_without_a_file_name_is_a_file(name: str, kind: str | None) -> None:
    form = form_body((name, JPEG, None, kind), boundary="B")
    assert from_http(unwrap(rest(**form)), LIMITS).source == Inline(JPEG)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([("file", b"@photo.jpg", None, None)], "-F file=@photo.jpg"),
        ([("file", b"photo.jpg", None, None), ("top", b"1", None, None)], "-F file=@photo.jpg"),
        ([("file", base64.b64encode(JPEG), "a.jpg", None)], "base64 text"),
        ([("file", JPEG.decode("utf-8", "replace").encode(), "a.jpg", "image/jpeg")], "U+FFFD"),
        ([("file", gzip.compress(JPEG), "a.jpg.gz", None)], "gzip"),
    ],
)
def test_damage_of_a_file_in_a_form_is_named(parts: Any, words: str) -> None:
    assert words in problem_of(from_http, unwrap(rest(**form_body(*parts))), LIMITS).detail


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (form_body(("file", JPEG, "a.jpg", None)), "is a form; a batch is JSON"),
        ({"body": JPEG, "headers": {"Content-Type": "image/jpeg"}}, "is an image; a batch is JSON"),
        ({"body": JPEG}, "is an image; a batch is JSON"),
        ({"body": base64.b64encode(JPEG)}, "base64 text"),
        ({"body": b"items=1"}, "URL-encoded form"),
    ],
)
def test_batch_that_is_not_json_is_rejected_with_an_example(sent: Any, words: str) -> None:
    problem = problem_of(batch_from_http, unwrap(rest(path="/v1/classify/batch", **sent)), LIMITS, 4)
    assert isinstance(problem, UnsupportedMediaType)
    assert words in problem.detail


@pytest.mark.parametrize("sent", [form_body(("file", JPEG, "a.jpg", None)), {"body": JPEG}])
def test_image_sent_to_uploads_is_rejected_with_the_right_call(sent: Any) -> None:
    problem = problem_of(expect_nothing, unwrap(rest(path="/v1/uploads", **sent)))
    assert "address to send the image to" in problem.detail


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"url": }', "line 1, column 9"),
        ('{\n  "url": "https://a"\n  "top": 1}', "line 3, column 3"),
        ('{"url": "https://a"', "line 1, column 20"),
        ('{"url": "a" "b"}', "line 1, column 13"),
        ("{}{}", "line 1, column 3"),
        ('{"top": 1' + "0" * 5000 + "}", "too many digits"),
        ('{"a":' * 100_000, "too deeply"),
        ("[1]", "not a list"),
        ('"text"', "not a text"),
        ("3", "not a number"),
    ],
)
def test_json_errors_include_the_position(text: str, words: str) -> None:
    problem = rejected(text, "application/json")
    assert isinstance(problem, RequestInvalid)
    assert words in problem.detail


def test_json_that_is_not_utf_8_is_rejected_with_the_byte() -> None:
    assert "byte 8" in rejected(b'{"url":"\xff"}', "application/json").detail


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://example.com/photo.jpg", 'Send it as "url"'),
        ("s3://bucket/key.jpg", '"s3"'),
        ("AAAA!AAA", "position 5"),
        ("AAA=AAAA", "follows its padding"),
        ("AAAAA", "cut off"),
    ],
)
def test_base64_errors_name_the_cause(text: str, words: str) -> None:
    assert words in problem_of(from_payload, {"image": text}, LIMITS).detail


@pytest.mark.parametrize("data", [b"\xfb\xff\xfe" * 9, b"\xff", b"\xfb\xf0"])
def test_url_safe_base64_is_decoded(data: bytes) -> None:
    for text in (base64.urlsafe_b64encode(data).decode(), base64.urlsafe_b64encode(data).decode().rstrip("=")):
        assert from_payload({"image": text}, LIMITS).source == Inline(data)


@pytest.mark.parametrize("path", ["/v1/classify", "/v1/classify/batch", "/v1/uploads"])
@pytest.mark.parametrize("name", ["tops", "Top", "model"])
def test_unknown_query_parameters_are_rejected_by_name(path: str, name: str) -> None:
    calls = {
        "/v1/classify": lambda request: from_http(request, LIMITS),
        "/v1/classify/batch": lambda request: batch_from_http(request, LIMITS, 4),
        "/v1/uploads": expect_nothing,
    }
    request = unwrap(rest(path=path, **json_body({}), query={name: "1"}))
    problem = problem_of(calls[path], request)
    assert f'"{name}" is unknown' in problem.detail


def test_too_many_query_parameters_are_rejected() -> None:
    request = unwrap(http(body=JPEG, rawQueryString="top=1&" * 101))
    assert isinstance(problem_of(from_http, request, LIMITS), RequestInvalid)


def test_parameters_of_an_aws_signature_belong_to_the_gateway() -> None:
    request = unwrap(rest(body=JPEG, query={"X-Amz-Signature": "s", "X-Amz-Date": "d", "top": "1"}))
    assert from_http(request, LIMITS).top == 1


SECRETS = ["a" * 40, "AKIAIOSFODNN7EXAMPLE", "sk-proj-12345678901234", "eyJhbGciOiJIUzI1NiJ9.e30", "p4ssw0rd!", "x\ny"]


@pytest.mark.parametrize("secret", SECRETS)
def test_keys_that_may_be_secrets_are_not_repeated(secret: str) -> None:
    requests: list[HttpRequest] = [
        unwrap(rest(**json_body({secret: 1}))),
        unwrap(rest(**json_body({"s3": {secret: 1}}))),
        unwrap(rest(body='{"%s": 1, "%s": 2}' % ((json.dumps(secret)[1:-1],) * 2))),
        unwrap(rest(body=JPEG, query={secret: "1"})),
        unwrap(rest(**form_body(("file", JPEG, "a.jpg", None), (secret.strip("\n"), b"1", None, None)))),
    ]
    for request in requests:
        detail = problem_of(from_http, request, LIMITS).detail
        assert secret not in detail
        assert secret[:12] not in detail


def test_unrecognized_text_is_rejected_with_what_to_send() -> None:
    problem = rejected("hello", "text/plain")
    assert isinstance(problem, UnsupportedMediaType)
    assert "neither an image" in problem.detail
