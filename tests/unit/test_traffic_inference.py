"""Statistics of `modelkit compare-variants` against scipy, statsmodels and R, and simulations of what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from modelkit.traffic.inference import (
    Interval,
    Share,
    chi_square_tail,
    difference_interval,
    one_sided,
    ratio_interval,
    required_sample,
    sample_ratio,
    two_sided,
)
from modelkit.traffic.sketch import ACCURACY, QuantileSketch

Z95 = two_sided(0.05)
RUNS = 2000


@pytest.mark.parametrize(
    ("hits", "total", "alpha", "low", "high"),
    [
        (0, 10, 0.05, 0.0, 0.27753279986288926),
        (10, 10, 0.05, 0.7224672001371106, 1.0),
        # Also Newcombe 1998, Statistics in Medicine 17, 857-872, table I.
        (81, 263, 0.05, 0.2552885198782742, 0.36620957698280004),
        (15, 148, 0.05, 0.06238639953073628, 0.16048724172330803),
        (1, 29, 0.05, 0.006113214292762667, 0.17175521879320294),
        (950, 1000, 0.01, 0.9290930273094662, 0.9649749242774674),
    ],
)
def test_the_interval_of_a_share_is_that_of_statsmodels(hits, total, alpha, low, high) -> None:
    """statsmodels 0.15.0, ``proportion_confint(hits, total, alpha, method="wilson")``."""
    assert Share(hits, total).interval(two_sided(alpha)) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(
    ("second", "first", "alpha", "low", "high"),
    [
        # The first six are also the examples of Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10.
        ((56, 70), (48, 80), 0.05, 0.05243147240236498, 0.33387265403690614),
        ((9, 10), (3, 10), 0.05, 0.1705227239345029, 0.809017973535488),
        ((6, 7), (2, 7), 0.05, 0.05822792748231209, 0.8062496375242278),
        ((5, 56), (0, 29), 0.05, -0.038137147903536936, 0.19256001385511165),
        ((10, 10), (0, 20), 0.05, 0.6790860371419145, 1.0),
        ((10, 10), (0, 10), 0.05, 0.6075093504305241, 1.0),
        ((960, 1000), (940, 1000), 0.01, -0.005400126314215589, 0.04597944572968371),
    ],
)
def test_the_interval_of_a_difference_is_that_of_statsmodels(second, first, alpha, low, high) -> None:
    """statsmodels 0.15.0, ``confint_proportions_2indep(..., method="newcomb", compare="diff")``."""
    bounds = difference_interval(Share(*first), Share(*second), two_sided(alpha))
    assert bounds == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(
    ("statistic", "degrees", "tail"),
    [
        (0.5, 1, 0.47950012218695337),
        (3.841458820694124, 1, 0.05),
        (10.83, 1, 0.0009986863791802592),
        (5.991, 2, 0.05001161502657909),
        (7.5, 3, 0.0575584519726364),
        (20.0, 4, 0.0004993992273873336),
        (1.2, 5, 0.9448773650021219),
        (40.0, 9, 7.598525229464264e-06),
        (0.0, 3, 1.0),
    ],
)
def test_the_tail_of_chi_square_is_that_of_scipy(statistic, degrees, tail) -> None:
    """scipy 1.17.1, ``chi2.sf``."""
    assert chi_square_tail(statistic, degrees) == pytest.approx(tail, rel=1e-12)


def test_the_sample_ratio_test_is_that_of_scipy() -> None:
    """scipy 1.17.1, ``chisquare``."""
    assert sample_ratio({"a": 9010, "b": 990}, {"a": 9, "b": 1}) == pytest.approx(0.7388826803635271)
    three = {"a": 520, "b": 430, "c": 250}
    assert sample_ratio(three, {"a": 3, "b": 2, "c": 1}) == pytest.approx(3.0258051799082354e-06)


def test_the_sample_ratio_of_arms_without_weight_or_requests() -> None:
    assert sample_ratio({"a": 10, "b": 0}, {"a": 1, "b": 0}) == 1.0
    assert sample_ratio({"a": 10, "b": 1}, {"a": 1, "b": 0}) == 0.0
    assert sample_ratio({"a": 0, "b": 0}, {"a": 1, "b": 1}) == 1.0
    assert sample_ratio({"a": 1000, "b": 0}, {"a": 1, "b": 1}) < 1e-12


def test_the_sample_size_is_that_of_r() -> None:
    """R's manual of ``power.prop.test(p1 = .50, p2 = .75, power = .90)``: n = 76.7 in each group."""
    assert required_sample(0.5, 0.75, 0.05, 0.9) == 77
    # A larger second arm needs fewer of the first; the sum is least near equal arms.
    first = required_sample(0.5, 0.75, 0.05, 0.9, ratio=3)
    assert first < 77 < first + 3 * first


def test_shares_without_observations_have_the_widest_intervals() -> None:
    assert Share(0, 0).interval(Z95) == (0.0, 1.0)
    assert difference_interval(Share(0, 0), Share(5, 10), Z95) == (-1.0, 1.0)


def _covered(low: np.ndarray, high: np.ndarray, value: float) -> float:
    return float(np.mean((low <= value) & (value <= high)))


@pytest.mark.parametrize(("share", "total"), [(0.5, 30), (0.9, 40), (0.95, 400), (0.02, 300)])
def test_intervals_of_a_share_cover_it_as_often_as_they_say(share, total) -> None:
    hits = np.random.default_rng(1).binomial(total, share, RUNS)
    bounds = np.array([Share(int(hit), total).interval(Z95) for hit in hits])
    # Wilson's coverage moves around 95 % with the share (Brown, Cai and DasGupta 2001, figure 5).
    assert 0.93 <= _covered(bounds[:, 0], bounds[:, 1], share) <= 0.985


@pytest.mark.parametrize(
    ("first", "second", "totals"), [(0.9, 0.9, (60, 60)), (0.95, 0.9, (400, 100)), (0.6, 0.8, (40, 50))]
)
def test_intervals_of_a_difference_cover_it_as_often_as_they_say(first, second, totals) -> None:
    random = np.random.default_rng(2)
    pairs = zip(random.binomial(totals[0], first, RUNS), random.binomial(totals[1], second, RUNS), strict=True)
    bounds = np.array([difference_interval(Share(int(a), totals[0]), Share(int(b), totals[1]), Z95) for a, b in pairs])
    assert 0.935 <= _covered(bounds[:, 0], bounds[:, 1], second - first) <= 0.985


def test_the_sample_size_gives_the_power_that_it_promises() -> None:
    first, second, power = 0.9, 0.85, 0.8
    total = required_sample(first, second, 0.05, power)
    random = np.random.default_rng(3)
    pairs = zip(random.binomial(total, first, RUNS), random.binomial(total, second, RUNS), strict=True)
    bounds = [difference_interval(Share(int(a), total), Share(int(b), total), Z95) for a, b in pairs]
    assert np.mean([high < 0 for _, high in bounds]) == pytest.approx(power, abs=0.03)


@pytest.mark.parametrize("weights", [{"a": 1, "b": 1}, {"a": 90, "b": 10}, {"a": 5, "b": 3, "c": 2}])
def test_the_sample_ratio_test_is_wrong_as_often_as_it_says(weights) -> None:
    shares = np.array(list(weights.values())) / sum(weights.values())
    draws = np.random.default_rng(4).multinomial(2000, shares, RUNS)
    p_values = [sample_ratio(dict(zip(weights, map(int, draw), strict=True)), weights) for draw in draws]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(np.array(p_values) < 0.001) <= 0.004


def test_the_sample_ratio_test_finds_a_wrong_ratio() -> None:
    draws = np.random.default_rng(5).binomial(20_000, 0.47, 200)
    p_values = [sample_ratio({"a": int(a), "b": 20_000 - int(a)}, {"a": 1, "b": 1}) for a in draws]
    assert np.mean(np.array(p_values) < 0.001) > 0.99


def _sketch(values: np.ndarray) -> QuantileSketch:
    sketch = QuantileSketch()
    for value in values:
        sketch.add(float(value))
    return sketch


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 0.99, 1.0])
def test_quantiles_are_within_half_a_percent(share) -> None:
    values = np.sort(np.random.default_rng(6).lognormal(3, 1.5, 5000))
    exact = values[max(1, math.ceil(share * len(values))) - 1]
    assert _sketch(values).quantile(share) == pytest.approx(exact, rel=ACCURACY)


def test_a_sketch_stays_small_for_any_values() -> None:
    sketch = _sketch(
        np.random.default_rng(7).uniform(0, 1, 20_000) * 10.0 ** np.random.default_rng(8).integers(-6, 14, 20_000)
    )
    assert len(sketch._buckets) <= 2800
    assert sketch.count == 20_000
    assert sketch.points()[-1][1] == 1.0


def test_no_values_have_no_quantiles() -> None:
    empty = QuantileSketch()
    assert (empty.quantile(0.5), empty.quantile_interval(0.5, Z95), empty.points()) == (None, Interval(None, None), [])


def test_few_values_give_no_upper_bound_of_a_high_quantile() -> None:
    sketch = _sketch(np.arange(1.0, 21.0))
    assert sketch.quantile_interval(0.95, Z95).high is None
    assert sketch.quantile_interval(0.5, Z95).high is not None
    assert sketch.quantile_interval(0.05, Z95).low is None


def test_intervals_of_a_quantile_cover_it_as_often_as_they_say() -> None:
    random = np.random.default_rng(9)
    true = math.exp(3 + 0.5 * 1.6448536269514722)
    bounds = [_sketch(random.lognormal(3, 0.5, 400)).quantile_interval(0.95, Z95) for _ in range(400)]
    covered = np.mean([low <= true * 1.005 and (high is None or high >= true * 0.995) for low, high in bounds])
    assert 0.93 <= covered <= 0.99


def test_bounds_of_a_ratio_of_quantiles_are_wrong_as_often_as_they_say() -> None:
    """One-sided, 5 %: the lower bound is above the true ratio of 1.2 in at most about that share of the runs."""
    random, z, wrong, above = np.random.default_rng(10), one_sided(0.05), 0, 0
    for _ in range(300):
        first, second = _sketch(random.lognormal(3, 0.5, 500)), _sketch(1.2 * random.lognormal(3, 0.5, 300))
        bounds = ratio_interval(
            (first.quantile(0.95) or 0, first.quantile_interval(0.95, z)),
            (second.quantile(0.95) or 0, second.quantile_interval(0.95, z)),
        )
        wrong += bounds.low is not None and bounds.low > 1.2
        above += bounds.high is not None and bounds.high < 1.2
    assert wrong / 300 <= 0.08
    assert above / 300 <= 0.08
    assert wrong + above > 0


def test_a_ratio_without_bounds_of_its_parts_has_none() -> None:
    assert ratio_interval((10.0, Interval(8.0, None)), (12.0, Interval(10.0, 15.0))).low is None
    assert ratio_interval((10.0, Interval(8.0, 12.0)), (12.0, Interval(None, None))) == Interval(None, None)
    whole = ratio_interval((10.0, Interval(10.0, 10.0)), (12.0, Interval(12.0, 12.0)))
    assert whole == pytest.approx((1.2, 1.2))
