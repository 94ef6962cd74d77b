"""Subjects of the benchmark: every combination of memory, architecture, model and SnapStart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from tools import prices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.prices import Architecture

WARM_INVOCATIONS = 30
# Upper bounds behind the cost estimate: a start bills INIT and the request, a warm request its duration.
_START_SECONDS, _WARM_SECONDS = 15.0, 0.5
# A snapshot is cached for at least three hours and restored for each start (Lambda pricing, SnapStart), US dollars.
_SNAPSHOT_GB_SECOND, _RESTORE_GB, _SNAPSHOT_SECONDS = 0.0000015046, 0.0001397998, 3 * 3600
# Images of up to 0.5 GB for each architecture and model in ECR, for a day, and logs.
_STORED_USD = 0.02


@dataclass(frozen=True)
class Subject:
    """One combination, and its function.

    Attributes
    ----------
    function
        Physical name; what the alias ``live`` points to is measured.
    """

    function: str
    model: str
    memory_mib: int
    architecture: Architecture
    snap_start: bool = False

    @property
    def title(self) -> str:
        return f"{self.model}, {self.architecture}, {self.memory_mib} MiB{', SnapStart' if self.snap_start else ''}"


def combinations(
    prefix: str,
    *,
    models: Sequence[str],
    memories: Sequence[int],
    architectures: Sequence[Architecture],
    snap_start: bool,
) -> list[Subject]:
    """Return the subjects, each with its own function name."""
    starts = (False, True) if snap_start else (False,)
    chosen = product(models, architectures, memories, starts)
    return [
        Subject(f"{prefix}-{number}", model, memory, architecture, start)
        for number, (model, architecture, memory, start) in enumerate(chosen)
    ]


def cost_usd(subjects: Sequence[Subject], cold_starts: int) -> float:
    """Return an upper bound in US dollars of measuring the subjects."""
    total = _STORED_USD
    for subject in subjects:
        gb = prices.gb(subject.memory_mib)
        # Bursts may start more environments than are counted.
        starts, warm = 3 * cold_starts + 2, WARM_INVOCATIONS
        seconds = starts * _START_SECONDS + warm * _WARM_SECONDS
        total += prices.LAMBDA_DURATION[subject.architecture].cost(seconds * gb)
        total += prices.LAMBDA_REQUESTS.cost(starts + warm)
        if subject.snap_start:
            total += gb * (_SNAPSHOT_SECONDS * _SNAPSHOT_GB_SECOND + starts * _RESTORE_GB)
    return total
