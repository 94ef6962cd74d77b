"""Where MiniStack would be kinder than AWS, or different: media types, failed integrations, and limits."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from deployment import Deployed, Response, until
from expect import CONTRACT, GATEWAY_PROBLEMS, assert_failed_integration, assert_right

from localcloud import cloud
from localcloud.models import Golden

JSON = "application/json"


def post(deployed: Deployed, body: bytes, **headers: str) -> Response:
    """Post with these headers and the key alone: urllib would add a Content-Type."""
    url = urlsplit(deployed.endpoint["url"])
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    try:
        sent = {"x-api-key": deployed.endpoint["api_key"], **headers}
        connection.request("POST", f"{url.path.rstrip('/')}/v1/classify", body, sent)
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@pytest.fixture
def no_concurrency(deployed: Deployed) -> Iterator[None]:
    """The function's reserved concurrency used up, as by other callers; afterwards as deployed."""
    functions, name = deployed.client("lambda"), deployed.outputs["FunctionName"]
    reserved = functions.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        until(lambda: limit(deployed) == 0, 15)
        yield
    finally:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
        until(lambda: limit(deployed) == reserved, 15)


def limit(deployed: Deployed) -> Any:
    functions = cloud.status(deployed.state)["fleet"]["functions"]
    return functions.get(deployed.outputs["FunctionName"], {}).get("limit")


@pytest.mark.skipif(
    "*/*" not in CONTRACT["x-loupe-gateway"]["binaryMediaTypes"],
    reason="the contract lists its binary media types",
)
def test_an_image_without_content_type_is_classified(deployed: Deployed, golden_cases: list[Golden]) -> None:
    assert_right(post(deployed, golden_cases[0].path.read_bytes()), golden_cases[0])


def test_exhausted_concurrency_is_a_failed_integration(
    deployed: Deployed, golden_cases: list[Golden], request: pytest.FixtureRequest
) -> None:
    assert_right(deployed.classify(golden_cases[0].path.read_bytes()), golden_cases[0])
    request.getfixturevalue("no_concurrency")
    assert_failed_integration(deployed.classify(golden_cases[0].path.read_bytes()))


def test_a_function_that_fails_is_a_failed_integration(deployed: Deployed, golden_cases: list[Golden]) -> None:
    with deployed.released(LOUPE_MODEL="no-such-model"):
        until(lambda: deployed.classify(golden_cases[0].path.read_bytes()).status >= 500, 15)
        assert_failed_integration(deployed.classify(golden_cases[0].path.read_bytes()))


def test_an_event_above_6_mib_is_rejected(deployed: Deployed) -> None:
    event = 6 * 1024 * 1024
    assert post(deployed, b"\xff\xd8\xff" + bytes(event * 3 // 4), **{"Content-Type": "image/jpeg"}).status == 413
    below = post(deployed, b"\xff\xd8\xff" + bytes(event * 3 // 4 - 10_000), **{"Content-Type": "image/jpeg"})
    assert below.status == 422, below.body


def test_a_request_above_10_mib_is_rejected(deployed: Deployed) -> None:
    response = post(deployed, bytes(10 * 1024 * 1024 + 1), **{"Content-Type": "image/jpeg"})
    problem = GATEWAY_PROBLEMS["REQUEST_TOO_LARGE"]
    assert (response.status, response.json["code"]) == (problem["status"], problem["code"])


def test_headers_above_10_kib_are_rejected(deployed: Deployed) -> None:
    assert post(deployed, b"{}", **{"Content-Type": JSON, "X-Padding": "p" * 9_000}).status == 400
    assert post(deployed, b"{}", **{"Content-Type": JSON, "X-Padding": "p" * 10_240}).status == 431
