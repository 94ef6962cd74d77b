"""The price table: tiers add up, every price has a source, and importing it brings no CDK."""

from __future__ import annotations

import subprocess
import sys
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import prices


def test_aws_own_example_of_lambda() -> None:
    """AWS Lambda pricing, first example: 3 million requests of 120 ms with 1,536 MB cost $2.73 less the free tier."""
    gb_seconds = 3e6 * 0.120 * prices.gb(1536)
    assert gb_seconds == 540_000
    charged = prices.LAMBDA_DURATION["x86_64"].cost(gb_seconds - 400_000) + prices.LAMBDA_REQUESTS.cost(2e6)
    assert charged == pytest.approx(2.73, abs=0.005)


def test_each_part_of_a_quantity_is_charged_at_its_own_tier() -> None:
    assert prices.REST_API_REQUESTS.cost(1e6) == pytest.approx(3.50)
    assert prices.REST_API_REQUESTS.cost(333e6) == pytest.approx(1165.50)
    assert prices.REST_API_REQUESTS.cost(1_000e6) == pytest.approx(1165.50 + 667 * 2.80)
    assert prices.REST_API_REQUESTS.cost(21_000e6) == pytest.approx(1165.50 + 667 * 2.80 + 19_000 * 2.38 + 1_000 * 1.51)
    assert prices.DATA_OUT.cost(100) == 0
    assert prices.DATA_OUT.cost(101) == pytest.approx(0.09)
    assert prices.DATA_OUT.first == 0.09


def test_one_ready_environment_of_one_vcpu_for_a_month() -> None:
    seconds = prices.SECONDS_A_MONTH * prices.gb(1769)
    assert prices.PROVISIONED_CONCURRENCY["x86_64"].cost(seconds) == pytest.approx(18.92, abs=0.01)


@pytest.mark.parametrize("price", prices.TABLE, ids=lambda price: price.name)
def test_every_price_has_a_source_and_falling_tiers_without_a_gap(price: prices.Price) -> None:
    assert price.source.startswith("https://")
    assert "amazon" in price.source
    ends = [end for end, _ in price.tiers]
    assert ends == sorted(set(ends))
    assert ends[-1] == inf
    paid = [amount for _, amount in price.tiers if amount]
    assert paid == sorted(paid, reverse=True)
    assert price.first == paid[0]


@given(st.sampled_from(prices.TABLE), st.floats(0, 1e12), st.floats(0, 1e12))
def test_more_never_costs_less_and_never_more_than_the_first_tier(
    price: prices.Price, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert price.cost(low) <= price.cost(high) * (1 + 1e-12)
    assert price.cost(high) <= high * price.first * (1 + 1e-9)


def test_provisioned_is_cheaper_while_it_runs_and_arm_is_cheaper_than_x86() -> None:
    for architecture in ("x86_64", "arm64"):
        ready = prices.PROVISIONED_CONCURRENCY[architecture].first
        running = prices.PROVISIONED_DURATION[architecture].first
        assert running < ready + running < prices.LAMBDA_DURATION[architecture].first
    for table in (prices.LAMBDA_DURATION, prices.PROVISIONED_CONCURRENCY, prices.PROVISIONED_DURATION):
        assert table["arm64"].first == pytest.approx(0.8 * table["x86_64"].first, rel=1e-4)


def test_a_negative_quantity_is_rejected() -> None:
    with pytest.raises(ValueError, match="Lambda requests: a quantity must not be negative"):
        prices.LAMBDA_REQUESTS.cost(-1)


def test_importing_it_brings_no_cdk() -> None:
    code = "import sys, tools.prices; print([name for name in sys.modules if name.startswith(('aws_cdk', 'jsii'))])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert run.stdout.strip() == "[]"
