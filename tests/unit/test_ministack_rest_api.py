"""The events that the local API Gateway builds, and the requests and invocations that it rejects."""

from __future__ import annotations

import base64
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from localcloud.ministack import rest_api
from localcloud.ministack.compatibility import REST_API
from localcloud.ministack.replacement import original
from localcloud.ministack.rest_api import IntegrationError, header_bytes

NOT_UTF8 = b"\xff\xd8\xff\xe0"
RESOURCE = {"path": "/v1/classify", "id": "r1"}


def event(body: bytes, headers: dict[str, str], binary: list[str]) -> dict[str, Any]:
    build = rest_api.defaulting_to_json(
        original(REST_API, "_build_lambda_event_v1"), original(REST_API, "_media_type_matches")
    )
    return build("a", "live", {}, RESOURCE, "/v1/classify", "POST", headers, body, {}, {}, binary_media_types=binary)


@pytest.mark.parametrize("headers", [{}, {"content-type": ""}])
def test_a_body_without_content_type_is_binary_where_every_type_is(headers: dict[str, str]) -> None:
    result = event(NOT_UTF8, headers, ["*/*"])
    assert result["isBase64Encoded"]
    assert base64.b64decode(result["body"]) == NOT_UTF8
    assert "content-type" not in result["headers"] or not headers["content-type"]


def test_a_body_without_content_type_counts_as_json() -> None:
    assert event(b"{}", {}, ["application/json"])["isBase64Encoded"]
    assert not event(b"{}", {}, ["image/*"])["isBase64Encoded"]


def test_json_arrives_in_base64_where_every_type_is_binary() -> None:
    result = event(b'{"url": "x"}', {"content-type": "application/json"}, ["*/*"])
    assert (result["isBase64Encoded"], base64.b64decode(result["body"])) == (True, b'{"url": "x"}')


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}])
def test_bytes_of_an_unlisted_media_type_are_decoded_as_utf8_with_loss(headers: dict[str, str]) -> None:
    result = event(NOT_UTF8, headers, ["image/*"])
    assert (result["isBase64Encoded"], result["body"]) == (False, "\ufffd" * 4)


def test_a_request_without_a_body_has_a_null_body() -> None:
    assert event(b"", {}, ["*/*"])["body"] is None


def test_no_header_changes_the_source_address() -> None:
    build = original(REST_API, "_build_lambda_event_v1")
    arguments = ("a", "live", {}, RESOURCE, "/v1/classify", "POST", {"x-forwarded-for": "192.0.2.1"}, b"", {}, {})
    # MiniStack's own: remove the replacement when this fails.
    assert build(*arguments)["requestContext"]["identity"]["sourceIp"] == "192.0.2.1"
    stated = rest_api.stating_the_source(build)(*arguments)
    assert stated["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("result", "response_type"),
    [
        ({"error": True, "function_error": "Unhandled"}, "INTEGRATION_FAILURE"),
        ({"error": True, "throttle": True}, "INTEGRATION_FAILURE"),
        ({"error": True, "http_status": 413}, "REQUEST_TOO_LARGE"),
    ],
)
def test_a_failed_invocation_raises_an_integration_error(result: dict[str, Any], response_type: str) -> None:
    with pytest.raises(IntegrationError) as failure:
        rest_api.rejecting_failed_invocations(lambda _: "shaped")(result)
    assert failure.value.response_type == response_type


def test_a_successful_invocation_is_passed_on() -> None:
    assert rest_api.rejecting_failed_invocations(lambda _: "shaped")({"body": {}}) == "shaped"


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Result of a coroutine that awaits nothing; an event loop would open a socket."""
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


async def _served(*_: Any) -> str:
    return "served"


@pytest.mark.parametrize(
    ("size", "response"), [(10 * 1024 * 1024, "served"), (10 * 1024 * 1024 + 1, "REQUEST_TOO_LARGE")]
)
def test_a_body_above_10_mib_is_rejected(size: int, response: str) -> None:
    run = rest_api.limiting_bodies(_served, lambda _: {"live": {"id": 1}}, lambda kind, _: kind)
    request: dict[str, Any] = {}
    assert finished(run(request, "a", "live", "POST", "/", {}, bytes(size), {}, "", "")) == response
    assert request == ({} if response == "served" else {"stage": {"id": 1}})


def test_headers_above_the_limit_are_rejected() -> None:
    handle = rest_api.limiting_headers(_served)
    fixed = header_bytes("GET", "/live/v1/health", {"x": ""}, {})
    remaining = rest_api.MAX_HEADER_BYTES - fixed
    assert finished(handle("a", "live", "GET", "/v1/health", {"x": "v" * remaining}, b"", {})) == "served"
    status, _, body = finished(handle("a", "live", "GET", "/v1/health", {"x": "v" * (remaining + 1)}, b"", {}))
    assert status == 431
    assert "10240" in json.loads(body)["message"]


def test_header_bytes_count_repeated_headers_and_the_query() -> None:
    plain = header_bytes("GET", "/", {}, {})
    assert header_bytes("GET", "/", {"a": ["bb", "bb"]}, {}) == plain + 6
    assert header_bytes("GET", "/", {}, {"a": ["bb"]}) == plain + 5
