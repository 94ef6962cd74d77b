"""Other triggers of the deployed function: HTTP API and function URL events, and direct invocation."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from expect import assert_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployment import Deployed

    from localcloud.models import Golden

STAGES = {"function-url": "$default", "http-api": "live"}


def version_2(stage: str, path: str, body: bytes | None, headers: Mapping[str, str], query: str = "") -> dict[str, Any]:
    """An event of payload version 2.0 (API Gateway developer guide, 'Lambda proxy integrations for HTTP APIs')."""
    prefix = "" if stage == "$default" else f"/{stage}"
    method = "GET" if body is None else "POST"
    is_text = headers.get("content-type", "").startswith("application/json")
    encoded = None if body is None else body.decode() if is_text else base64.b64encode(body).decode()
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": f"{prefix}{path}",
        "rawQueryString": query,
        "headers": dict(headers),
        "requestContext": {
            "http": {"method": method, "path": f"{prefix}{path}", "protocol": "HTTP/1.1"},
            "requestId": "JKJaXmPLvHcESHA=",
            "stage": stage,
        },
        "isBase64Encoded": body is not None and not is_text,
        **({} if encoded is None else {"body": encoded}),
    }


@pytest.fixture(params=STAGES.values(), ids=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    stage: str = request.param
    return stage


def test_images_in_version_2_events(deployed: Deployed, golden_cases: list[Golden], stage: str) -> None:
    case = golden_cases[0]
    data = case.path.read_bytes()
    boundary = b"--frontier\r\n"
    form = (
        boundary
        + b'Content-Disposition: form-data; name="file"; filename="p.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        + data
        + b"\r\n--frontier--\r\n"
    )
    for body, content_type in (
        (data, "image/jpeg"),
        (json.dumps({"image": base64.b64encode(data).decode()}).encode(), "application/json"),
        (form, "multipart/form-data; boundary=frontier"),
    ):
        event = version_2(stage, "/v1/classify", body, {"content-type": content_type}, "top=1")
        answer = deployed.invoke(event)
        assert answer["statusCode"] == 200, answer["body"]
        result = json.loads(answer["body"])
        assert_result(result, case)
        assert len(result["scores"]) == 1


def test_documents_and_problems_in_version_2_events(deployed: Deployed, stage: str) -> None:
    health = deployed.invoke(version_2(stage, "/v1/health", None, {}))
    assert (health["statusCode"], json.loads(health["body"])["status"]) == (200, "ok")
    for path, body, status, code in (
        ("/v1/nothing", None, 404, "not_found"),
        ("/v1/classify", None, 405, "method_not_allowed"),
        ("/v1/classify", b"", 400, "request_invalid"),
        ("/v1/classify", b"no image", 415, "unsupported_media_type"),
    ):
        answer = deployed.invoke(version_2(stage, path, body, {"content-type": "image/jpeg"}))
        assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (status, code)
        assert answer["headers"]["Content-Type"] == "application/problem+json"


def test_direct_invocation_returns_the_plain_result(
    deployed: Deployed, golden_cases: list[Golden], image_site: str
) -> None:
    for case in golden_cases[:2]:
        image = base64.b64encode(case.path.read_bytes()).decode()
        for source in ({"image": image}, {"url": f"{image_site}/{case.path.name}"}):
            assert_result(deployed.invoke(source), case)
    assert len(deployed.invoke({"image": image, "top": 1})["scores"]) == 1


def test_a_direct_batch(deployed: Deployed, golden_cases: list[Golden]) -> None:
    image = base64.b64encode(golden_cases[0].path.read_bytes()).decode()
    answer = deployed.invoke({"items": [{"image": image}, {"image": "?"}]})
    assert_result(answer["results"][0]["result"], golden_cases[0])
    assert answer["results"][1]["error"]["code"] == "request_invalid"


@pytest.mark.parametrize("payload", [None, [], "text", {}, {"url": 1}, {"image": "", "url": "https://example.com"}])
def test_a_direct_invocation_without_a_source_is_a_problem(deployed: Deployed, payload: Any) -> None:
    assert deployed.invoke(payload)["error"]["code"] == "request_invalid"
