"""Bursts of the open methods are budgeted against the function's concurrency."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.contract import read_contract
from infra.settings import SettingsError, load_settings
from infra.throttles import UNRESERVED_CONCURRENCY, least_reserve, open_burst
from tests.infra.synthesis import ROOT, context
from tools.plan.sizing import MIN_RESERVE

CONTRACT = read_contract(ROOT / "docs" / "openapi.json")
CORS = {"api": {"cors_origins": ["https://a.example"]}}


def burst(environment: str, patch: dict[str, Any]) -> int:
    return open_burst(load_settings(context(), environment, patch), CONTRACT)


@pytest.mark.parametrize(
    ("environment", "cors", "expected"),
    [("dev", {}, 12), ("dev", CORS, 5), ("staging", {}, 2), ("staging", CORS, 1), ("prod", {}, 6), ("prod", CORS, 2)],
)
def test_defaults_leave_a_quarter_of_the_reserve_to_authorized_clients(
    environment: str, cors: dict[str, Any], expected: int
) -> None:
    reserve = load_settings(context(), environment).function.reserved_concurrency or UNRESERVED_CONCURRENCY
    methods = len(CONTRACT.open_methods(preflights=bool(cors)))
    assert burst(environment, cors) == expected
    assert expected * methods <= reserve - ceil(reserve / 4)


@given(st.integers(min_value=1, max_value=1_000), st.one_of(st.none(), st.integers(1, 100)), st.booleans())
def test_no_accepted_burst_exceeds_the_open_share(reserve: int, limit: int | None, cors: bool) -> None:
    patch: dict[str, Any] = {"function": {"reserved_concurrency": reserve}, "api": {**(CORS["api"] if cors else {})}}
    if limit is not None:
        patch["api"]["open_burst_limit"] = limit
    settings = load_settings({"environments": {"x": {}}}, "x", patch)
    methods = len(CONTRACT.open_methods(preflights=cors))
    try:
        accepted = open_burst(settings, CONTRACT)
    except SettingsError:
        assert methods * (limit or 1) > reserve - ceil(reserve / 4)
    else:
        assert accepted == limit or limit is None
        assert methods * accepted <= reserve - ceil(reserve / 4)


@pytest.mark.parametrize(
    ("environment", "patch", "sentence"),
    [
        (
            "prod",
            {"api": {"open_burst_limit": 7}},
            (
                "6 methods without credentials and a burst of 7 each can start 42 execution environments at once; "
                "function.reserved_concurrency is 50, of which a quarter is kept for callers with credentials: "
                "set api.open_burst_limit to 6 or less, or set function.reserved_concurrency to 56 or more."
            ),
        ),
        ("dev", {"function": {"reserved_concurrency": 5}}, "set function.reserved_concurrency to 8 or more."),
        ("dev", {"api": {"open_burst_limit": 20}}, "a function without a reserve can count on 100"),
    ],
)
def test_bursts_that_could_use_up_the_reserve_are_rejected(
    environment: str, patch: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError) as rejected:
        burst(environment, patch)
    assert f"environments.{environment}.api.open_burst_limit: " in str(rejected.value)
    assert sentence in str(rejected.value)


@given(st.integers(min_value=1, max_value=5_000))
def test_the_least_reserve_is_the_least(bursts: int) -> None:
    reserve = least_reserve(bursts)
    assert reserve - ceil(reserve / 4) >= bursts
    assert reserve - 1 - ceil((reserve - 1) / 4) < bursts


def test_the_planner_proposes_no_smaller_reserve_than_a_synth_accepts() -> None:
    assert least_reserve(len(CONTRACT.open_methods(preflights=False))) == MIN_RESERVE


def test_the_local_cloud_has_no_strangers() -> None:
    assert burst("local", {}) == 100
