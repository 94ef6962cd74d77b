"""Envelopes: method, path, headers, query and body of every event format."""

from __future__ import annotations

import base64

import pytest
from events import http, json_body, rest
from fakes import problem_of
from hypothesis import given
from hypothesis import strategies as st
from loupe.errors import RequestInvalid
from loupe.http.envelope import is_http, unwrap

JSON = {"Content-Type": "application/json; charset=utf-8", "X-Api-Key": "k"}


@pytest.mark.parametrize("event", [rest, http])
def test_method_path_headers_query_and_body_are_read(event) -> None:
    request = unwrap(event("post", "/v1/classify", b"\xff\xd8\x00", JSON, {"top": "3"}))
    assert (request.method, request.path, request.body) == ("POST", "/v1/classify", b"\xff\xd8\x00")
    assert request.headers["x-api-key"] == "k"
    assert request.content_type == "application/json"
    assert request.query == {"top": ("3",)}


@pytest.mark.parametrize("event", [rest, http])
def test_text_bodies_are_utf_8(event) -> None:
    assert unwrap(event(body="ü")).body == "ü".encode()


@pytest.mark.parametrize("event", [rest, http])
def test_minimal_event_is_an_empty_request(event) -> None:
    request = unwrap(event("GET", "/"))
    assert (request.path, request.body, dict(request.headers), dict(request.query)) == ("/", b"", {}, {})


def test_header_names_are_case_insensitive_and_values_are_not() -> None:
    request = unwrap(rest(headers={"CONTENT-type": "Image/JPEG; Q=1"}))
    assert request.content_type == "image/jpeg"
    assert request.headers["content-type"] == "Image/JPEG; Q=1"


def test_multi_value_headers_alone_are_read() -> None:
    event = rest(headers={"Accept": "a"})
    event["headers"], event["multiValueHeaders"] = None, {"Accept": ["a", "b"], "Content-Type": ["image/png"]}
    request = unwrap(event)
    assert request.headers == {"accept": "a, b", "content-type": "image/png"}


def test_every_value_of_a_repeated_parameter_is_kept() -> None:
    event = rest(query={"top": "2"}, multiValueQueryStringParameters={"top": ["1", "2"]})
    assert unwrap(event).query["top"] == ("1", "2")
    assert unwrap(http(rawQueryString="top=1&top=2&scores")).query == {"top": ("1", "2"), "scores": ("",)}


@pytest.mark.parametrize(
    ("event", "path"),
    [
        (rest(resource="/v1/classify", path="/api/v1/classify"), "/v1/classify"),  # a custom domain's base path
        (rest(resource="/{proxy+}", path="/v1/models"), "/v1/models"),
        (rest(resource="/", path="/"), "/"),
        (rest(resource="/v1/jobs/{id}", path="/api/v1/jobs/a1"), "/v1/jobs/a1"),
        (rest(resource="/v1/jobs/{id}", path="/api/v1/models/a1"), "/api/v1/models/a1"),
        (rest(resource="/v1/jobs/{id}", path="/jobs"), "/jobs"),
        (http(stage="live"), "/v1/classify"),
        (http(rawPath="/live", requestContext={"stage": "live", "http": {"method": "GET"}}), "/"),
        (http(rawPath="/live2/x", requestContext={"stage": "live", "http": {"method": "GET"}}), "/live2/x"),
        (http(rawPath="/live/v1/classify", routeKey="POST /v1/classify", stage="live"), "/v1/classify"),
    ],
)
def test_path_is_without_stage_and_base_path(event, path) -> None:
    assert unwrap(event).path == path


def test_invalid_base64_of_an_event_is_a_client_problem() -> None:
    request = unwrap(rest(body="ab!", isBase64Encoded=True))
    assert isinstance(problem_of(lambda: request.body), RequestInvalid)


@pytest.mark.parametrize(
    "event",
    [None, [], "x", {}, {"image": "x"}, {"requestContext": "http", "httpMethod": "GET"}, {"requestContext": {}}],
)
def test_other_events_are_payloads(event) -> None:
    assert not is_http(event)


@pytest.mark.parametrize("event", [rest(), http()])
def test_http_events_are_detected(event) -> None:
    assert is_http(event)


ANYTHING = st.sampled_from([None, True, 0, "", "x", "/", [], [1], ["x"], {}, {"a": None}, {"a": 1}, {"a": ["b", 2]},
                            {"http": {}}, {"http": {"method": 3}}, {"stage": 1}])  # fmt: skip


@given(
    st.sampled_from([rest(**json_body({})), http(**json_body({}))]),
    st.dictionaries(st.sampled_from(sorted({*rest(), *http()})), ANYTHING, max_size=5),
)
def test_unwrap_takes_every_event_that_counts_as_http(event, changes) -> None:
    event = {**event, **changes}
    if is_http(event):
        request = unwrap(event)
        assert request.path
        assert all(name == name.lower() for name in request.headers)


@given(st.binary(max_size=50))
def test_binary_bodies_are_unchanged(data) -> None:
    assert unwrap(rest(body=base64.b64encode(data).decode(), isBase64Encoded=True)).body == data
