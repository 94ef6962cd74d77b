"""Assertions for predictions and problems."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.state import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployment import Response

    from localcloud.models import Golden

CONTRACT = json.loads((PROJECT / "docs" / "openapi.json").read_text(encoding="utf-8"))
GATEWAY_PROBLEMS = CONTRACT["x-loupe-gateway"]["responses"]


def assert_result(result: Mapping[str, Any], case: Golden) -> None:
    assert result["label"] == case.label
    assert result["probability"] == pytest.approx(case.probability, abs=case.tolerance)
    assert list(result["scores"]) == sorted(result["scores"], key=result["scores"].get, reverse=True)


def assert_right(response: Response, case: Golden) -> None:
    assert response.status == 200, response.body
    assert_result(response.json, case)


def assert_problem(response: Response, status: int, code: str) -> None:
    assert response.headers["content-type"].startswith("application/problem+json")
    problem = response.json
    assert (response.status, problem["status"], problem["code"]) == (status, status, code)
    assert {"type", "title", "detail", "request_id"} <= problem.keys()


def assert_failed_integration(response: Response) -> None:
    """API Gateway's own answer for a function that gave none, as the contract defines it."""
    problem = GATEWAY_PROBLEMS["INTEGRATION_FAILURE"]
    assert_problem(response, problem["status"], problem["code"])
    if problem["status"] == 503:
        assert int(response.headers["retry-after"]) > 0
