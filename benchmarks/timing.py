"""Alternating measurement: a run measures its subjects in turn, so that noise of the machine affects all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Row:
    """A line of the report.

    Attributes
    ----------
    ratio
        The value to compare with the target, in the direction of ``sense``.
    sense
        ``least``: the ratio must be at least the target; ``most``: at most; ``none``: for information.
    detail
        The figures of the ratio, as text.
    """

    group: str
    what: str
    ratio: float | None
    target: float | None
    sense: Literal["least", "most", "none"]
    detail: str
    interval: tuple[float, float] | None = None
    unit: str = "x"

    @property
    def passed(self) -> bool | None:
        """Whether the target is met; None without a target or a measurement."""
        if self.ratio is None or self.target is None or self.sense == "none":
            return None
        return self.ratio >= self.target if self.sense == "least" else self.ratio <= self.target


@dataclass(frozen=True)
class Section:
    """A section of the report: lines of Markdown under a heading, and a plot."""

    title: str
    lines: list[str]
    plot: Callable[[Path], None] | None = None
    plot_name: str = ""


class PartResult(NamedTuple):
    """Rows and sections of one part of the benchmark."""

    rows: Sequence[Row]
    sections: Sequence[Section] = ()


def alternate(subjects: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3) -> Samples:
    """Call each subject once a round, starting with another one each round; return milliseconds by name."""
    samples: Samples = {name: [] for name in subjects}
    order = list(subjects)
    for index in range(rounds + warm_up):
        for name in order:
            started = time.perf_counter()
            subjects[name]()
            elapsed = (time.perf_counter() - started) * 1e3
            if index >= warm_up:
                samples[name].append(elapsed)
        order.append(order.pop(0))
    return samples


def median(values: list[float]) -> float:
    return float(np.median(values))


def ratio(numerator: list[float], denominator: list[float]) -> tuple[float, tuple[float, float]]:
    """Return the ratio of medians and its 95 % bootstrap interval (1,000 resamples)."""
    return _bootstrap(np.divide, numerator, denominator)


def difference(minuend: list[float], subtrahend: list[float]) -> tuple[float, tuple[float, float]]:
    """Return the difference of medians and its 95 % bootstrap interval (1,000 resamples)."""
    return _bootstrap(np.subtract, minuend, subtrahend)


def _bootstrap(
    operation: Callable[[Any, Any], Any], first: list[float], second: list[float]
) -> tuple[float, tuple[float, float]]:
    random = np.random.default_rng(0)

    def medians(values: list[float]) -> Any:
        return np.median(random.choice(np.asarray(values), (1000, len(values))), axis=1)

    low, high = np.percentile(operation(medians(first), medians(second)), [2.5, 97.5])
    return float(operation(np.median(first), np.median(second))), (float(low), float(high))
