"""Both shipped models side by side: one image through each graph on one thread, in turn; file sizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from loupe.card import Card, load_card
from loupe.model import Model

from benchmarks.timing import PartResult, Row, Samples, alternate, median, ratio
from modelkit.gating import golden_images
from modelkit.latency import sample_tensors, size_of

# Targets of each model's size and duration.
MAX_MEGABYTES = {"hair-type": 1.0, "hair-type-large": 5.0}
MAX_MS = {"hair-type-large": 12.0}
GROUP = "Shipped models, one image through the graph on one thread"
FILES = "Shipped models, files"


def run(models: Path, rounds: int) -> PartResult:
    """Measure the models with a size target."""
    cards = [load_card(models / name) for name in MAX_MEGABYTES]
    subjects = {}
    for card in cards:
        (batch,) = sample_tensors(card, golden_images(card), 1)
        subjects[card.name] = partial(Model.load(card).run, batch)
    return PartResult(rows(cards, alternate(subjects, rounds)))


def rows(cards: Sequence[Card], samples: Samples) -> list[Row]:
    """Compare times and sizes with their targets, and each further model with the first."""
    first, *others = cards
    result = []
    for card in cards:
        accuracy = card.raw["evaluation"]["cross_validation"]["mean_accuracy"]
        limit, size = MAX_MS.get(card.name), size_of(card) / 1e6
        ms, detail = median(samples[card.name]), f"accuracy in cross-validation {accuracy:.3f}"
        result += [
            Row(GROUP, card.name, ms, limit, "most" if limit else "none", detail, unit="ms"),
            Row(FILES, card.name, size, MAX_MEGABYTES[card.name], "most", f"variant {card.variant}", unit="MB"),
        ]
    for card in others:
        value, interval = ratio(samples[card.name], samples[first.name])
        detail = f"{median(samples[card.name]):.2f} ms / {median(samples[first.name]):.2f} ms"
        result.append(Row(GROUP, f"{card.name} against {first.name}", value, None, "none", detail, interval))
    return result
