"""Both triggers with valid and invalid input, in the Lambda runtime."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from localcloud.environment import ExecutionEnvironment
    from localcloud.models import Golden

# Only the start of an image.
BROKEN_JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb0043")


def invoke(environment: ExecutionEnvironment, event: Any, request_id: str = "request-1") -> dict[str, Any]:
    outcome = environment.invoke(json.dumps(event).encode(), request_id)
    assert outcome.function_error is None, outcome.payload
    answer: dict[str, Any] = json.loads(outcome.payload)
    return answer


def http_event(body: bytes, content_type: str, method: str = "POST", path: str = "/v1/classify") -> dict[str, Any]:
    """An event as API Gateway's REST proxy integration sends it, its body a binary media type."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Content-Type": content_type, "Accept": "*/*"},
        "multiValueHeaders": {"Content-Type": [content_type], "Accept": ["*/*"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"requestId": "gateway-1", "stage": "live", "httpMethod": method, "path": f"/live{path}"},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def test_direct_invocation_returns_the_plain_result(warm: ExecutionEnvironment, golden_cases: list[Golden]) -> None:
    for case in golden_cases[:2]:
        result = invoke(warm, {"image": base64.b64encode(case.path.read_bytes()).decode()}, "direct-1")
        assert result["label"] == case.label
        assert result["probability"] == pytest.approx(case.probability, abs=case.tolerance)
        assert result["model"]["name"] == "hair-type"
        assert result["request_id"] == "direct-1"


def test_an_http_request_returns_a_response(warm: ExecutionEnvironment, golden_cases: list[Golden]) -> None:
    response = invoke(warm, http_event(golden_cases[0].path.read_bytes(), "image/jpeg"))
    headers = {name.lower(): value for name, value in response["headers"].items()}
    assert response["statusCode"] == 200
    assert json.loads(response["body"])["label"] == golden_cases[0].label
    assert headers["content-type"].startswith("application/json")
    assert "model;dur=" in headers["server-timing"]


def test_health_names_the_model(warm: ExecutionEnvironment) -> None:
    response = invoke(warm, http_event(b"", "text/plain", "GET", "/v1/health"))
    assert response["statusCode"] == 200
    assert json.loads(response["body"])["status"] == "ok"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (BROKEN_JPEG, "image/jpeg", 422, "image_undecodable"),
        (b"this is not a picture", "image/jpeg", 415, "unsupported_media_type"),
        (b"{", "application/json", 400, "request_invalid"),
        (b'{"image": "%%%"}', "application/json", 400, "request_invalid"),
        (b"{}", "application/json", 400, "request_invalid"),
        (b"hello", "text/plain", 415, "unsupported_media_type"),
    ],
)
def test_invalid_http_request_is_a_client_problem(
    warm: ExecutionEnvironment, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = invoke(warm, http_event(body, content_type))
    problem = json.loads(response["body"])
    assert (response["statusCode"], problem["status"], problem["code"]) == (status, status, code)
    assert {name.lower(): value for name, value in response["headers"].items()}["content-type"].startswith(
        "application/problem+json"
    )


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"image": base64.b64encode(BROKEN_JPEG).decode()}, "image_undecodable"),
        ({"image": base64.b64encode(b"no image").decode()}, "unsupported_media_type"),
        ({"url": "http://169.254.169.254/latest"}, "url_not_allowed"),
        ({}, "request_invalid"),
        ([], "request_invalid"),
        ("text", "request_invalid"),
    ],
)
def test_invalid_direct_invocation_returns_an_error_object(warm: ExecutionEnvironment, event: Any, code: str) -> None:
    assert invoke(warm, event)["error"]["code"] == code


def test_payload_that_is_not_json_is_an_error_of_the_runtime(warm: ExecutionEnvironment) -> None:
    outcome = warm.invoke(b"not json", "request-2")
    assert outcome.function_error == "Unhandled"
    assert json.loads(outcome.payload)["errorType"] == "Runtime.UnmarshalError"
    assert warm.usable
