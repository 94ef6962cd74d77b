"""The prediction cache in the template: a variable and a graph where it is on, nothing where it is off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.components import metrics
from infra.settings import load_settings
from tests.infra.synthesis import Synthesized, context, synthesize


@pytest.fixture(scope="module")
def cached() -> Synthesized:
    return synthesize("dev", {"cache": {"memory_mib": 64}})


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return synthesize("dev", {})


def _variables(template: Synthesized) -> dict[str, Any]:
    variables: dict[str, Any] = template.only("AWS::Lambda::Function")["Environment"]["Variables"]
    return variables


def _dashboard(template: Synthesized) -> str:
    return json.dumps(template.only("AWS::CloudWatch::Dashboard")["DashboardBody"])


def test_the_cache_adds_one_variable_and_one_graph(cached: Synthesized, dev: Synthesized) -> None:
    assert _variables(cached) == {**_variables(dev), "LOUPE_CACHE_MIB": "64"}
    for name in (metrics.CACHE_HITS, metrics.CACHE_MISSES):
        assert name in _dashboard(cached)
        assert name not in _dashboard(dev)


def test_the_cache_needs_no_resource_and_no_permission(cached: Synthesized, dev: Synthesized) -> None:
    # A changed function has another version.
    def unchanged(template: Synthesized, *kinds: str) -> dict[str, Any]:
        return {kind: list(template.resources(kind).values()) for kind in kinds}

    kinds = ("AWS::IAM::Policy", "AWS::IAM::Role", "AWS::CloudWatch::Alarm", "AWS::ApiGateway::Method")
    assert unchanged(cached, *kinds) == unchanged(dev, *kinds)


def test_an_explicit_zero_is_the_default() -> None:
    assert load_settings(context(), "dev", {"cache": {"memory_mib": 0}}) == load_settings(context(), "dev")
