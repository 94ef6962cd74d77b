"""The endpoint over HTTP: images, keys, problems, throttling, many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from deployment import RESERVED_CONCURRENCY, Deployed, Response, until
from expect import assert_problem, assert_right

if TYPE_CHECKING:
    from localcloud.models import Golden

JSON = "application/json"


def media_type(case: Golden) -> str:
    return {".jpg": "image/jpeg", ".png": "image/png"}[case.path.suffix]


def test_every_golden_image_as_the_body(deployed: Deployed, golden_cases: list[Golden]) -> None:
    for case in golden_cases:
        response = deployed.classify(case.path.read_bytes(), media_type(case))
        assert_right(response, case)
        assert "model;dur=" in response.headers["server-timing"]


def test_health_is_open(deployed: Deployed) -> None:
    response = deployed.call("/v1/health", key=False)
    assert response.status == 200
    assert response.json["status"] == "ok"


def test_models_are_listed(deployed: Deployed) -> None:
    assert [model["name"] for model in deployed.call("/v1/models").json["models"]] == ["hair-type"]


def test_a_request_without_a_key_is_forbidden(deployed: Deployed, golden_cases: list[Golden]) -> None:
    body = golden_cases[0].path.read_bytes()
    assert_problem(deployed.call("/v1/classify", body, "image/jpeg", key=False), 403, "api_key_invalid")


def test_bad_input_is_a_4xx_problem(deployed: Deployed) -> None:
    for body, content_type, status, code in (
        (b"no image at all", "image/jpeg", 415, "unsupported_media_type"),
        (b"{", JSON, 400, "request_invalid"),
        (b"hello", "text/plain", 415, "unsupported_media_type"),
        (b"\xff\xd8\xff\xe0 broken", "image/jpeg", 422, "image_undecodable"),
    ):
        assert_problem(deployed.classify(body, content_type), status, code)


def test_an_unknown_path_is_not_found(deployed: Deployed) -> None:
    assert_problem(deployed.call("/v1/nothing"), 404, "not_found")


def test_a_request_above_lambdas_limit_is_a_413_problem(deployed: Deployed) -> None:
    assert_problem(deployed.classify(b"\xff\xd8\xff" + bytes(5_000_000)), 413, "request_too_large")


def test_ten_concurrent_requests_run_in_several_environments(deployed: Deployed, golden_cases: list[Golden]) -> None:
    cases = [golden_cases[number % 2] for number in range(10)]
    with ThreadPoolExecutor(RESERVED_CONCURRENCY) as pool:
        responses = list(pool.map(lambda case: deployed.classify(case.path.read_bytes()), cases))
    for response, case in zip(responses, cases, strict=True):
        assert_right(response, case)
    # Idle environments of earlier releases may be among them; test_fleet.py tests the limit.
    assert deployed.environments() >= 2


def test_requests_above_the_usage_plan_are_throttled(deployed: Deployed) -> None:
    def exhausted() -> bool:
        with ThreadPoolExecutor(RESERVED_CONCURRENCY) as pool:
            answers = list(pool.map(lambda _: deployed.call("/v1/models"), range(80)))
        throttled.extend(answer for answer in answers if answer.status == 429)
        assert {answer.status for answer in answers} <= {200, 429}
        return bool(throttled)

    throttled: list[Response] = []
    with deployed.plan(rate_limit=20, burst_limit=40):
        until(exhausted, 20)
        assert_problem(throttled[0], 429, "too_many_requests")
    until(lambda: deployed.call("/v1/models").status == 200, 20)
