"""Intervals, tests and sample sizes of two shares, with the source of each formula.

All are closed formulas over counts, so that a report needs no numerical library beyond Python's own.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from modelkit.metrics import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

_NORMAL = NormalDist()


class Interval(NamedTuple):
    """Bounds of a figure; None where the data give none."""

    low: float | None
    high: float | None


class Share(NamedTuple):
    """``hits`` of ``total`` independent observations; both may be effective counts, which are not whole."""

    hits: float
    total: float

    @property
    def value(self) -> float:
        """The observed share; 0 without observations."""
        return self.hits / self.total if self.total else 0.0

    def interval(self, z: float) -> tuple[float, float]:
        """Wilson score interval; 0 to 1 without observations."""
        low, high = wilson_interval(self.hits, self.total, z)
        # Rounding errors at the ends would exclude 0 or 1 from the interval of no hits or of all.
        return (0.0 if self.hits == 0 else low), (1.0 if self.hits == self.total else high)


def two_sided(alpha: float) -> float:
    """Return z of a two-sided interval with this probability of an error: 1.96 for 0.05."""
    return _NORMAL.inv_cdf(1 - alpha / 2)


def one_sided(alpha: float) -> float:
    """Return z of a one-sided bound with this probability of an error: 1.645 for 0.05."""
    return _NORMAL.inv_cdf(1 - alpha)


def difference_interval(first: Share, second: Share, z: float) -> tuple[float, float]:
    """Return the interval of ``second - first``, two independent shares.

    Newcombe 1998, 'Interval estimation for the difference between independent proportions', Statistics in Medicine 17,
    873-890, method 10: the distances of both Wilson limits, added as squares. -1 to 1 without observations.
    """
    low_1, high_1 = first.interval(z)
    low_2, high_2 = second.interval(z)
    if not first.total or not second.total:
        return (-1.0, 1.0)
    difference = second.value - first.value
    low = difference - math.hypot(second.value - low_2, high_1 - first.value)
    high = difference + math.hypot(high_2 - second.value, first.value - low_1)
    return (max(-1.0, low), min(1.0, high))


def ratio_interval(first: tuple[float, Interval], second: tuple[float, Interval]) -> Interval:
    """Return the interval of ``second / first``, two independent positive figures with an interval each.

    Zou and Donner 2008, 'Construction of confidence limits about effect measures: a general approach', Statistics in
    Medicine 27, 1693-1702 (MOVER), on logarithms.
    """
    (value_1, bounds_1), (value_2, bounds_2) = first, second
    ratio = math.log(value_2 / value_1)
    low = high = None
    if bounds_2.low and bounds_1.high:
        low = math.exp(ratio - math.hypot(math.log(value_2 / bounds_2.low), math.log(bounds_1.high / value_1)))
    if bounds_2.high and bounds_1.low:
        high = math.exp(ratio + math.hypot(math.log(bounds_2.high / value_2), math.log(value_1 / bounds_1.low)))
    return Interval(low, high)


def required_sample(first: float, second: float, alpha: float, power: float, ratio: float = 1.0) -> int:
    """Return how many observations of the first arm distinguish two shares.

    Fleiss, Levin and Paik 2003, 'Statistical methods for rates and proportions', section 4.2 (without continuity
    correction; unequal samples: 4.4). It is the formula of R's ``power.prop.test``.

    Parameters
    ----------
    ratio
        Observations of the second arm for each of the first.
    alpha
        Two-sided probability of finding a difference where there is none.
    power
        Probability of finding this difference where it is there.
    """
    pooled = (first + ratio * second) / (ratio + 1)
    under_none = two_sided(alpha) * math.sqrt((ratio + 1) * pooled * (1 - pooled))
    under_this = one_sided(1 - power) * math.sqrt(ratio * first * (1 - first) + second * (1 - second))
    return math.ceil((under_none + under_this) ** 2 / (ratio * (second - first) ** 2))


def chi_square_tail(statistic: float, degrees: int) -> float:
    """Return the probability that a chi-square variable is above ``statistic``.

    Abramowitz and Stegun 1964, 26.4.4 (odd) and 26.4.5 (even degrees of freedom).
    """
    if statistic <= 0:
        return 1.0
    half = statistic / 2
    if degrees % 2:
        root = math.sqrt(statistic)
        tail, term = math.erfc(math.sqrt(half)), math.sqrt(2 / math.pi) * math.exp(-half) * root
        for odd in range(3, degrees + 1, 2):
            tail += term
            term *= statistic / odd
        return min(1.0, tail)
    tail, term = 0.0, math.exp(-half)
    for step in range(1, degrees // 2 + 1):
        tail += term
        term *= half / step
    return min(1.0, tail)


def sample_ratio(counts: Mapping[str, int], weights: Mapping[str, float]) -> float:
    """Return the p-value of Pearson's chi-square test of counts against weights, by name; 1 without observations.

    Fabijan et al. 2019, 'Diagnosing sample ratio mismatch in online controlled experiments', KDD: a small value says
    that arms did not get the share that they were to get, so that their users may differ in more than the arm.
    """
    if any(count and not weights[name] for name, count in counts.items()):
        return 0.0
    names = [name for name in counts if weights[name]]
    total, whole = sum(counts.values()), sum(weights[name] for name in names)
    if not total or len(names) < 2:
        return 1.0
    expected = {name: total * weights[name] / whole for name in names}
    statistic = sum((counts[name] - expected[name]) ** 2 / expected[name] for name in names)
    return chi_square_tail(statistic, len(names) - 1)
