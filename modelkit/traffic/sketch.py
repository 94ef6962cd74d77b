"""Quantiles of a stream in bounded memory."""

from __future__ import annotations

import math
from collections import Counter

from modelkit.traffic.inference import Interval

# Relative error of a quantile. Values between the bounds fall into at most 2,800 buckets.
ACCURACY = 0.005
_MIN_VALUE, _MAX_VALUE = 1e-3, 1e9
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)


class QuantileSketch:
    """Counts of values in buckets that grow by a constant factor, so that quantiles have a bounded relative error.

    Masson, Rim and Lee 2019, 'DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees'.
    Values are positive, such as ms; those below 0.001 count as 0.001.
    """

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0

    def add(self, value: float) -> None:
        """Count a value."""
        self._buckets[math.ceil(math.log(min(max(value, _MIN_VALUE), _MAX_VALUE)) / _LOG_GAMMA)] += 1
        self.count += 1

    def quantile(self, share: float) -> float | None:
        """Return the quantile, within 0.5 % of the value of its rank; None without values."""
        return self.ranked([max(1, math.ceil(share * self.count))])[0] if self.count else None

    def quantile_interval(self, share: float, z: float) -> Interval:
        """Return an interval of the quantile by order statistics.

        Conover 1999, 'Practical nonparametric statistics', section 3.2: ranks ``n p -+ z sqrt(n p (1 - p))``, whatever
        the distribution. A rank beyond the sample gives no bound: None.
        """
        middle, half = self.count * share, z * math.sqrt(self.count * share * (1 - share))
        low, high = math.floor(middle - half), math.ceil(middle + half) + 1
        values = self.ranked([max(1, low), min(self.count, high)]) if self.count else [0.0, 0.0]
        return Interval(values[0] if low >= 1 else None, values[1] if high <= self.count else None)

    def ranked(self, ranks: list[int]) -> list[float]:
        """Return the values of ascending ranks, 1 for the least."""
        values: list[float] = []
        below = 0
        for bucket, count in sorted(self._buckets.items()):
            below += count
            while len(values) < len(ranks) and ranks[len(values)] <= below:
                values.append(2 * _GAMMA**bucket / (_GAMMA + 1))
        return values

    def points(self, count: int = 200) -> list[tuple[float, float]]:
        """Return at most ``count`` points of the cumulative distribution: value and share."""
        if not self.count:
            return []
        ranks = sorted({max(1, round(self.count * step / count)) for step in range(1, count + 1)})
        return [(value, rank / self.count) for value, rank in zip(self.ranked(ranks), ranks, strict=True)]
