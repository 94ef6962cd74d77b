"""Both shipped models side by side: one image through each graph on one thread, in turn; file sizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from loupe.card import Card, load_card
from loupe.model import Model

from benchmarks.timing import Found, Row, Samples, alternate, median, ratio
from modelkit.gating import golden_pictures
from modelkit.latency import sample_tensors, size_of

# What each model was made to fit into.
MAX_MEGABYTES = {"hair-type": 1.0, "hair-type-large": 5.0}
MAX_MS = {"hair-type-large": 12.0}
GROUP = "Shipped models, one image through the graph on one thread"
FILES = "Shipped models, files"


def run(models: Path, rounds: int) -> Found:
    """Measure the models whose limits stand above."""
    cards = [load_card(models / name) for name in MAX_MEGABYTES]
    subjects = {}
    for card in cards:
        (batch,) = sample_tensors(card, golden_pictures(card), 1)
        subjects[card.name] = partial(Model.load(card).run, batch)
    return Found(rows(cards, alternate(subjects, rounds)))


def rows(cards: Sequence[Card], samples: Samples) -> list[Row]:
    """Hold times and sizes against their limits; compare each later model with the first."""
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
