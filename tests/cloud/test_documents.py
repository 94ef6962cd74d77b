"""Requests of browsers and tools besides predictions: documents, HEAD, and other origins (CORS)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from deployment import ORIGIN, Deployed, Response
from expect import assert_problem, assert_right

from localcloud.models import Golden

SERVED = Path(__file__).parents[2] / "function" / "loupe" / "http"
GETS = ("/", "/openapi.json", "/v1/health", "/v1/models")
ALL = {**dict.fromkeys(GETS, "GET"), **dict.fromkeys(("/v1/classify", "/v1/classify/batch", "/v1/uploads"), "POST")}
FROM_ELSEWHERE = {"Origin": ORIGIN}


def test_openapi_is_the_document_of_the_deployments_features(deployed: Deployed) -> None:
    response = deployed.call("/openapi.json", key=False)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    jobs = any(path.startswith("/v1/jobs") for path in response.json["paths"])
    assert response.json == json.loads((SERVED / ("openapi-jobs.json" if jobs else "openapi.json")).read_text("utf-8"))
    assert jobs == (deployed.call("/v1/jobs", key=True).status != 404)


def test_the_content_security_policy_allows_nothing_else(deployed: Deployed) -> None:
    response = deployed.call("/", key=False)
    assert (response.status, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["script-src"].startswith("'sha256-")
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.body.lstrip().lower().startswith(b"<!doctype html>")


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/v1/models"])
def test_an_unchanged_document_is_304(deployed: Deployed, path: str) -> None:
    tag = deployed.call(path).headers["etag"]
    response = deployed.call(path, headers={"If-None-Match": tag})
    assert (response.status, response.body, response.headers["etag"]) == (304, b"", tag)


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_its_body(deployed: Deployed, path: str) -> None:
    get, head = (deployed.call(path, method=method) for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (200, b"")
    assert {name: head.headers.get(name) for name in ("content-type", "etag", "cache-control")} == {
        name: get.headers.get(name) for name in ("content-type", "etag", "cache-control")
    }


def test_head_of_a_keyed_route_needs_the_key(deployed: Deployed) -> None:
    assert deployed.call("/v1/models", method="HEAD", key=False).status == 403


@pytest.mark.parametrize(("path", "method"), ALL.items())
def test_a_preflight_needs_no_key(deployed: Deployed, path: str, method: str) -> None:
    preflight = {
        **FROM_ELSEWHERE,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "x-api-key",
    }
    response = deployed.call(path, key=False, method="OPTIONS", headers=preflight)
    assert (response.status, response.body) == (204, b"")
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert method in response.headers["access-control-allow-methods"].split(", ")
    assert "x-api-key" in response.headers["access-control-allow-headers"].lower().split(", ")


def assert_readable(response: Response) -> None:
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "x-request-id" in response.headers["access-control-expose-headers"].lower().split(", ")
    assert "origin" in response.headers["vary"].lower()


def test_an_allowed_origin_may_read_the_response(deployed: Deployed, golden_cases: list[Golden]) -> None:
    def classify() -> Response:
        return deployed.call("/v1/classify", golden_cases[0].path.read_bytes(), "image/jpeg", headers=FROM_ELSEWHERE)

    response = classify()
    assert_right(response, golden_cases[0])
    assert_readable(response)


def test_an_allowed_origin_may_read_the_gateways_problems(deployed: Deployed) -> None:
    for response, status, code in (
        (deployed.call("/v1/models", key=False, headers=FROM_ELSEWHERE), 403, "api_key_invalid"),
        (deployed.call("/v1/nothing", headers=FROM_ELSEWHERE), 404, "not_found"),
        (deployed.call("/v1/classify", method="DELETE", headers=FROM_ELSEWHERE), 404, "not_found"),
    ):
        assert_problem(response, status, code)
        assert_readable(response)


def test_another_origin_may_not_read_the_response(deployed: Deployed) -> None:
    preflight = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for response in (
        deployed.call("/v1/classify", key=False, method="OPTIONS", headers=preflight),
        deployed.call("/v1/health", key=False, headers=preflight),
        deployed.call("/v1/nothing", key=False, headers=preflight),
    ):
        assert response.headers.get("access-control-allow-origin") in (None, ORIGIN)
