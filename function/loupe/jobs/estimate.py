"""Estimated time and costs of a job before it starts, and costs of one that has ended."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loupe.jobs.settings import Rates
    from loupe.jobs.source_size import SourceSize

# From the request to the first image: the reader, and the cold start of the execution environments.
START_SECONDS = 15.0


def estimate(size: SourceSize, rates: Rates, *, batch_items: int, concurrency: int) -> dict[str, Any]:
    """Return images, batches, seconds and US dollars of a job.

    A batch is processed by one execution environment, so a job uses at most as many of them as it has batches.
    """
    batches = ceil(size.images / batch_items)
    # Whole rounds: a job of one batch more than its concurrency takes twice as long.
    rounds = ceil(batches / concurrency)
    seconds = START_SECONDS + rounds * min(batch_items, size.images) * rates.seconds_per_image
    return {
        "images": size.images,
        "exact": size.exact,
        "batches": batches,
        "seconds": round(seconds, 1),
        "usd": cost(rates, images=size.images, batches=batches, busy_seconds=size.images * rates.seconds_per_image),
    }


def cost(rates: Rates, *, images: int, batches: int, busy_seconds: float) -> float:
    """Return US dollars, at the list prices that the deployment was planned with."""
    usd = images * rates.usd_per_image + batches * rates.usd_per_batch + busy_seconds * rates.usd_per_second
    return round(usd, 6)
