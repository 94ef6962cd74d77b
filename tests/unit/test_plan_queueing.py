"""The planner's formulas: against published values, against each other, and against a small simulation."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from math import exp, factorial, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.plan.queueing import erlang_b, offered_load, poisson_quantile, servers_for

LOADS = st.floats(0.001, 400)
SHARES = st.floats(1e-6, 0.5)


@pytest.mark.parametrize(
    ("servers", "load", "rejected"),
    [
        (10, 5.0, 0.018385),
        (1, 1.0, 0.5),
        (2, 1.0, 0.2),
        (5, 3.0, 0.110054),
        # The load that so many servers carry at a loss of 1 %, of the tables in print.
        (10, 4.4612, 0.01),
        (20, 12.031, 0.01),
        (100, 84.064, 0.01),
        (0, 3.0, 1.0),
        (3, 0.0, 0.0),
    ],
)
def test_erlang_b_as_in_the_tables(servers: int, load: float, rejected: float) -> None:
    assert erlang_b(servers, load) == pytest.approx(rejected, abs=1e-5)


@given(st.integers(1, 60), st.floats(0.01, 60))
def test_the_recursion_equals_the_erlang_formula(servers: int, load: float) -> None:
    terms = [load**n / factorial(n) for n in range(servers + 1)]
    assert isclose(erlang_b(servers, load), terms[-1] / sum(terms), rel_tol=1e-9)


@given(st.integers(0, 500), LOADS)
def test_more_servers_reject_less_and_more_load_is_rejected_more(servers: int, load: float) -> None:
    rejected = erlang_b(servers, load)
    assert 0 <= erlang_b(servers + 1, load) < rejected <= 1 or rejected == 0
    assert erlang_b(servers, load * 1.1) >= rejected
    # What is carried is never more than the servers.
    assert load * (1 - rejected) <= servers + 1e-6


@given(LOADS, SHARES)
def test_the_number_of_servers_is_the_fewest(load: float, share: float) -> None:
    n = servers_for(load, share)
    assert n >= 1
    assert erlang_b(n, load) <= share
    assert n == 1 or erlang_b(n - 1, load) > share


@given(st.floats(0.001, 100), SHARES)
def test_the_quantile_is_the_smallest(mean: float, share: float) -> None:
    def below(n: int) -> float:
        term = total = exp(-mean)
        for k in range(1, n + 1):
            term *= mean / k
            total += term
        return total

    n = poisson_quantile(mean, 1 - share)
    assert below(n) >= 1 - share - 1e-9
    assert n == 0 or below(n - 1) < 1 - share + 1e-9


@pytest.mark.parametrize(
    ("mean", "probability", "n"),
    [(0, 0.99, 0), (1, 0.5, 1), (1, 0.99, 4), (5, 0.95, 9), (10, 0.5, 10), (10, 0.999, 21)],
)
def test_poisson_quantiles_as_in_the_tables(mean: float, probability: float, n: int) -> None:
    assert poisson_quantile(mean, probability) == n


def test_large_means_do_not_underflow() -> None:
    """exp(-5000) is 0 to a double; the distribution is nearly normal, and 2.3263 deviations are 99 %."""
    assert poisson_quantile(5000, 0.99) == pytest.approx(5000 + 2.3263 * 5000**0.5, abs=2)
    assert poisson_quantile(100_000, 0.5) == pytest.approx(100_000, abs=1)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_shares_are_between_0_and_1(share: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        servers_for(1, share)
    with pytest.raises(ValueError, match="above 0 and below 1"):
        poisson_quantile(1, share)


def test_negative_numbers_are_rejected() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        erlang_b(-1, 1)
    with pytest.raises(ValueError, match="must not be negative"):
        poisson_quantile(-1, 0.5)


def test_littles_law() -> None:
    assert offered_load(50, 12) == pytest.approx(0.6)


def _constant(_: random.Random) -> float:
    return 1.0


def _exponential(rng: random.Random) -> float:
    return rng.expovariate(1.0)


def _mixture(rng: random.Random) -> float:
    """Four small images and a large one: mean 1, a deviation of 1.3."""
    return 3.6 if rng.random() < 0.2 else 0.35


@pytest.mark.parametrize("duration", [_constant, _exponential, _mixture])
def test_simulated_rejections_equal_the_formula_for_all_durations(
    duration: Callable[[random.Random], float],
) -> None:
    servers, load, requests = 8, 5.0, 60_000
    rng, now, rejected = random.Random(7), 0.0, 0
    busy: list[float] = []
    for _ in range(requests):
        now += rng.expovariate(load)
        while busy and busy[0] <= now:
            heapq.heappop(busy)
        if len(busy) == servers:
            rejected += 1
        else:
            heapq.heappush(busy, now + duration(rng))
    assert rejected / requests == pytest.approx(erlang_b(servers, load), abs=0.005)


@pytest.mark.parametrize("duration", [_constant, _exponential, _mixture])
def test_a_simulation_without_a_limit_has_poisson_concurrency(duration: Callable[[random.Random], float]) -> None:
    load, requests = 5.0, 60_000
    rng, now = random.Random(11), 0.0
    busy: list[float] = []
    busy_counts = []
    for _ in range(requests):
        now += rng.expovariate(load)
        while busy and busy[0] <= now:
            heapq.heappop(busy)
        busy_counts.append(len(busy))  # what an arrival sees is the distribution in time
        heapq.heappush(busy, now + duration(rng))
    settled = sorted(busy_counts[1000:])
    mean = sum(settled) / len(settled)
    variance = sum((count - mean) ** 2 for count in settled) / len(settled)
    assert mean == pytest.approx(load, rel=0.03)
    assert variance == pytest.approx(load, rel=0.06)
    for probability in (0.5, 0.95, 0.99):
        assert settled[int(probability * len(settled))] == pytest.approx(poisson_quantile(load, probability), abs=1)
