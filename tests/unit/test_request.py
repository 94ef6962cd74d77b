"""The request parser: every kind of input, and every invalid one with a sentence that names it."""

from __future__ import annotations

import base64
import json

import pytest
from events import base64_of, form_body, http, json_body, rest
from fakes import problem_of
from hypothesis import example, given
from hypothesis import strategies as st
from images import RED, gif, jpeg, solid
from loupe.errors import BatchTooLarge, ImageTooLarge, Problem, RequestInvalid, UnsupportedMediaType
from loupe.http.envelope import unwrap
from loupe.http.request import BatchRequest, ClassifyRequest, batch_from_http, from_http, from_payload
from loupe.image import Limits
from loupe.sources.inline import Inline
from loupe.sources.s3 import S3Object
from loupe.sources.url import Url

LIMITS = Limits(max_bytes=10_000)
IMAGE = jpeg(solid(RED))


def read(**sent) -> ClassifyRequest:
    return from_http(unwrap(rest(**sent)), LIMITS)


def rejected(**sent) -> Problem:
    return problem_of(from_http, unwrap(rest(**sent)), LIMITS)


def read_json(value, **query) -> ClassifyRequest:
    return read(**json_body(value), query=query or None)


def rejected_json(value, **query) -> Problem:
    return rejected(**json_body(value), query=query or None)


@pytest.mark.parametrize("event", [rest, http])
@pytest.mark.parametrize(
    "content_type",
    ["image/jpeg", "Image/JPEG; q=1", "image/png", "image/jpg", "image/pjpeg", "image/x-png", "image/*", "", "*/*",
     "application/octet-stream", "binary/octet-stream", "text/plain", "text/plain;charset=UTF-8", "application/json",
     "application/x-www-form-urlencoded", "multipart/form-data", "nonsense"],
)  # fmt: skip
def test_an_image_is_recognized_by_its_content(event, content_type) -> None:
    request = from_http(unwrap(event(body=IMAGE, headers={"Content-Type": content_type})), LIMITS)
    assert request == ClassifyRequest(Inline(IMAGE), 5)


@pytest.mark.parametrize("content_type", ["application/json", "application/json;charset=UTF-8", "application/x+json"])
@pytest.mark.parametrize(
    ("value", "source"),
    [
        ({"url": " https://example.com/a.jpg "}, Url("https://example.com/a.jpg")),
        ({"image": base64_of(IMAGE)}, Inline(IMAGE)),
        ({"s3": {"bucket": "b", "key": "k/ü.jpg"}}, S3Object("b", "k/ü.jpg")),
        ({"s3": {"bucket": "b", "key": "k", "version_id": "v"}}, S3Object("b", "k", "v")),
    ],
)
def test_every_source_is_parsed_from_json(content_type, value, source) -> None:
    assert read(body=json.dumps(value), headers={"content-type": content_type}).source == source
    assert from_payload(value, LIMITS).source == source


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded", "application/octet-stream"])
def test_json_without_a_media_type_is_detected_by_its_brace(content_type) -> None:
    request = read(body=' \n{"url": "https://example.com"}', headers={"Content-Type": content_type})
    assert request.source == Url("https://example.com")


@pytest.mark.parametrize(
    "text",
    [
        base64_of(IMAGE),
        base64_of(IMAGE).rstrip("="),
        "\n".join(base64_of(IMAGE)[i : i + 76] for i in range(0, 2000, 76)),
        " " + base64_of(IMAGE) + "\r\n",
        "data:image/jpeg;base64," + base64_of(IMAGE),
        "DATA:image/jpeg;charset=x;BASE64," + base64_of(IMAGE),
    ],
)
def test_base64_of_common_clients_is_decoded(text) -> None:
    assert read_json({"image": text}).source == Inline(IMAGE)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a!b=", "not valid base64"), ("a", "not valid base64"), ("data:image/png,xx", "not a base64 one"),
     ("data:image/png;base64", "not a base64 one"), ("data:;base64,", "empty"), ("ü", "not valid base64"),
     ("\ud800", "not valid base64")],
)  # fmt: skip
def test_invalid_base64_is_rejected(text, words) -> None:
    problem = rejected_json({"image": text})
    assert isinstance(problem, RequestInvalid)
    assert words in problem.detail


def test_base64_over_the_limit_is_rejected_before_decoding() -> None:
    assert isinstance(rejected_json({"image": "A" * 30_000}), ImageTooLarge)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "has none"),
        ({"url": "https://a", "image": "aa"}, 'has "url" and "image"'),
        ({"url": "https://a", "image": "aa", "s3": {}}, 'has "url" and "image" and "s3"'),
        ({"uri": "https://a"}, '"uri" is unknown'),
        ({"url": "https://a", "image_url": "x"}, '"image_url" is unknown'),
        ({"url": ""}, '"url" must be a text'),
        ({"url": 3}, '"url" must be a text'),
        ({"image": None}, '"image" must be a text'),
        ({"s3": "s3://bucket/key"}, '"s3" must be an object'),
        ({"s3": {"bucket": "b"}}, '"key" of "s3" must be a text'),
        ({"s3": {"bucket": "", "key": "k"}}, '"bucket" of "s3" must be a text'),
        ({"s3": {"bucket": "b", "key": "k", "region": "x"}}, '"region" of "s3" is unknown'),
        ({"s3": {"bucket": "b", "key": "k" * 1025}}, "at most 1024 bytes"),
        ({"s3": {"bucket": "b", "key": "a\nb"}}, "control"),
        ({"s3": {"bucket": "b", "key": "\ud800"}}, "control"),
        ({"s3": {"bucket": "b", "key": "k", "version_id": None}}, '"version_id" of "s3"'),
        ([], "must be an object"),
        ("x", "must be an object"),
        (None, "must be an object"),
    ],
)
def test_invalid_json_fields_are_rejected_by_name(value, words) -> None:
    for problem in (rejected_json(value), problem_of(from_payload, value, LIMITS)):
        assert isinstance(problem, RequestInvalid)
        assert words in problem.detail


@pytest.mark.parametrize("text", ["{", '{"url": }', "{}{}", "[" * 100_000, '{"a": 1' + "0" * 5000 + "}", "\ud800"])
def test_broken_json_is_rejected(text) -> None:
    assert isinstance(rejected(body=text, headers={"Content-Type": "application/json"}), RequestInvalid)


def test_repeated_key_is_named() -> None:
    text = '{"url": "https://a", "url": "https://b"}'
    problem = rejected(body=text, headers={"Content-Type": "application/json"})
    assert '"url" more than once' in problem.detail


@pytest.mark.parametrize("body", [b"", "", None])
@pytest.mark.parametrize("content_type", ["", "image/jpeg", "application/json", "multipart/form-data; boundary=x"])
def test_empty_body_is_rejected(body, content_type) -> None:
    assert "empty" in rejected(body=body, headers={"Content-Type": content_type}).detail


@pytest.mark.parametrize("body", [b"%PDF-1.7", "hello", b"\x00\x01", "<svg/>"])
@pytest.mark.parametrize("content_type", ["", "text/plain", "application/pdf", "application/x-www-form-urlencoded"])
def test_body_that_cannot_be_classified_is_rejected(body, content_type) -> None:
    problem = rejected(body=body, headers={"Content-Type": content_type})
    assert isinstance(problem, UnsupportedMediaType)
    assert problem.status == 415


@pytest.mark.parametrize(
    ("query", "top"),
    [({}, 5), ({"top": "1"}, 1), ({"top": "9999"}, 9999), ({"top": "all"}, None), ({"scores": "all"}, None)],
)
@pytest.mark.parametrize("event", [rest, http])
def test_top_and_scores(event, query, top) -> None:
    for body in (IMAGE, json.dumps({"url": "https://a"})):
        assert from_http(unwrap(event(body=body, query=query)), LIMITS).top == top


@pytest.mark.parametrize("top", ["0", "-1", "", "x", "1.5", "10000", "٣", "1e3", " 1"])
def test_invalid_top_is_rejected(top) -> None:
    assert '"top" must be' in rejected(body=IMAGE, query={"top": top}).detail


def test_scores_can_only_be_all_and_not_beside_top() -> None:
    assert "only" in rejected(body=IMAGE, query={"scores": "3"}).detail
    assert "once" in rejected(body=IMAGE, query={"scores": "all", "top": "3"}).detail
    assert "once" in problem_of(from_http, unwrap(http(body=IMAGE, rawQueryString="top=1&top=2")), LIMITS).detail


@pytest.mark.parametrize(("top", "expected"), [(1, 1), (3.0, 3), ("all", None)])
def test_top_of_json(top, expected) -> None:
    assert from_payload({"url": "https://a", "top": top}, LIMITS).top == expected
    assert read_json({"url": "https://a", "top": top}).top == expected


@pytest.mark.parametrize("top", [0, -1, 10_000, 1.5, True, "3", [], float("inf"), float("nan"), None])
def test_invalid_top_of_json_is_rejected(top) -> None:
    assert '"top" must be' in rejected_json({"url": "https://a", "top": top}).detail


def test_top_in_query_and_body_is_rejected() -> None:
    assert "both" in rejected_json({"url": "https://a", "top": 1}, top="1").detail


def test_a_form_with_one_file() -> None:
    request = read(**form_body(("file", IMAGE, "a.jpg", "image/jpeg"), ("top", b"2", None, None)))
    assert request == ClassifyRequest(Inline(IMAGE), 2)


def test_form_with_an_unnamed_image() -> None:
    assert read(**form_body(("image", IMAGE, None, "image/jpeg"))).source == Inline(IMAGE)


def test_large_file_in_a_form_is_complete() -> None:
    data = IMAGE + bytes(range(256)) * 9000
    assert read(**form_body(("file", data, "a.jpg", None))).source == Inline(data)


FILE = ("file", IMAGE, "a.jpg", "image/jpeg")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (form_body(), "exactly one file; this form has none"),
        (form_body(("url", b"https://a", None, None)), "none"),
        (form_body(FILE, FILE), "has 2"),
        (form_body(FILE, ("note", b"x", None, None)), '"note" is unknown'),
        (form_body(FILE, ("top", b"1", None, None), ("top", b"2", None, None)), "more than once"),
        (form_body(FILE, ("top", b"x", None, None)), '"top" must be'),
        (form_body(("file", b"", "a.jpg", None)), "empty"),
        (form_body(*[FILE] * 40), "more than 16 parts"),
        ({**form_body(FILE), "headers": {"Content-Type": "multipart/form-data"}}, "no boundary"),
        ({**form_body(FILE), "headers": {"Content-Type": "multipart/form-data; boundary=other"}}, "form"),
        ({**form_body(FILE), "body": form_body(FILE)["body"][:-20]}, "cut off"),
        ({**form_body(FILE), "body": b"--XyZ\r\nno header\r\n\r\n"}, "form"),
        ({**form_body(FILE), "body": b"--XyZ\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XyZ--\r\n"}, "broken"),
    ],
)  # fmt: skip
def test_invalid_forms_are_rejected_by_name(form, words) -> None:
    problem = rejected(**form)
    assert isinstance(problem, RequestInvalid)
    assert words in problem.detail


def batch(value, most=32) -> BatchRequest:
    return batch_from_http(unwrap(rest(path="/v1/classify/batch", **json_body(value))), LIMITS, most)


def test_batch_keeps_the_problem_of_an_item_in_its_place() -> None:
    request = batch({"items": [{"url": "https://a"}, {"image": "!"}, 3, {"image": base64_of(IMAGE)}], "top": 1})
    assert request.top == 1
    assert [type(item) for item in request.items] == [Url, RequestInvalid, RequestInvalid, Inline]


@pytest.mark.parametrize(
    ("value", "words"),
    [({}, '"items" must be'), ({"items": []}, '"items" must be'), ({"items": {}}, '"items" must be'),
     ({"items": [{}], "x": 1}, '"x" is unknown'), ({"items": [{}], "top": 0}, '"top"'), ([], "must be an object")],
)  # fmt: skip
def test_invalid_batches_are_rejected(value, words) -> None:
    problem = problem_of(batch, value)
    assert isinstance(problem, RequestInvalid)
    assert words in problem.detail


def test_batch_size_is_limited() -> None:
    assert len(batch({"items": [{"url": "https://a"}] * 3}, 3).items) == 3
    assert isinstance(problem_of(batch, {"items": [{"url": "https://a"}] * 4}, 3), BatchTooLarge)


TYPES = st.sampled_from(
    ["", "image/jpeg", "application/json", "multipart/form-data; boundary=XyZ", 'multipart/form-data; boundary="',
     "multipart/form-data", "text/plain", "application/octet-stream", "x/y+json"]
) | st.text(max_size=30)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("all"),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["url", "image", "s3", "top", "bucket", "key", "version_id", "items"])
            | st.text(max_size=5),
            children,
            max_size=3,
        )
    ),
    max_leaves=8,
)
PARTS = st.lists(
    st.tuples(
        st.sampled_from(["file", "top", ""]), st.binary(max_size=20), st.none() | st.text('ab";\\', max_size=3),
        st.none() | st.sampled_from(["image/png", "text/plain", ";"]),
    ), max_size=4,
)  # fmt: skip
BODIES = (
    st.binary(max_size=200)
    | JSON.map(json.dumps).map(str.encode)
    | PARTS.map(lambda parts: form_body(*parts)["body"])
    | st.binary(max_size=60).map(lambda tail: IMAGE + tail)
    | st.tuples(PARTS, st.integers(0, 400)).map(lambda pair: form_body(*pair[0])["body"][: pair[1]])
)
QUERIES = st.dictionaries(st.sampled_from(["top", "scores", "x"]), st.sampled_from(["all", "1"]) | st.text(max_size=6))


@given(BODIES, TYPES, QUERIES)
@example(b"--XyZ\r\n\r\n\r\nx\r\n--XyZ--", "multipart/form-data; boundary=XyZ", {})
def test_parser_returns_a_request_or_a_client_problem(body, content_type, query) -> None:
    request = unwrap(rest(body=body, headers={"Content-Type": content_type}, query=query))
    for call in (lambda: from_http(request, LIMITS), lambda: batch_from_http(request, LIMITS, 4)):
        try:
            result = call()
        except Problem as problem:
            assert 400 <= problem.status < 500  # noqa: PT017
            assert problem.detail.endswith(".")  # noqa: PT017
        else:
            assert isinstance(result, ClassifyRequest | BatchRequest)


@given(JSON)
def test_payload_becomes_a_request_or_a_client_problem(payload) -> None:
    try:
        assert isinstance(from_payload(payload, LIMITS), ClassifyRequest)
    except Problem as problem:
        assert 400 <= problem.status < 500  # noqa: PT017


@given(st.binary(min_size=1, max_size=300))
def test_base64_round_trip(data) -> None:
    assert from_payload({"image": base64.b64encode(data).decode()}, LIMITS).source == Inline(data)


def test_gif_is_an_image_or_a_problem() -> None:
    assert isinstance(read(body=gif(), headers={"Content-Type": "image/gif"}).source, Inline)
