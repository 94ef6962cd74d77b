"""Derive the order of labels from golden cases: any permutation, as far as the cases determine it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTED = 12


@dataclass(frozen=True)
class LabelOrder:
    """``labels`` is the whole order; ``shown`` are the outputs whose label the evidence gives, ``rule`` its name."""

    labels: tuple[str, ...]
    shown: tuple[int, ...]
    rule: str = ""

    @property
    def complete(self) -> bool:
        """Whether the evidence, or a rule that agrees with all of it, gives every label's place."""
        return bool(self.rule) or len(self.shown) >= len(self.labels) - 1

    def change(self) -> str:
        """Return the change in the card's words."""
        if self.complete and len(self.labels) <= _LISTED:
            return f"output.labels {list(self.labels)!r}{f' ({self.rule})' if self.rule else ''}"
        if self.rule:
            return f"output.labels {self.rule} ({self.labels[0]!r}, {self.labels[1]!r}, ... {self.labels[-1]!r})"
        places = ", ".join(f"output {index} is {self.labels[index]!r}" for index in self.shown[:_LISTED])
        more = f" and {len(self.shown) - _LISTED} more" if len(self.shown) > _LISTED else ""
        rest = "" if self.complete else "; the places of the other labels are not shown by golden cases"
        return f"output.labels in another order: {places}{more}{rest}"


def derive(labels: Sequence[str], predicted: Sequence[int], expected: Sequence[int]) -> LabelOrder | None:
    """Return the order under which every prediction is the expected label.

    Parameters
    ----------
    predicted, expected
        For each golden case, the index of the highest output, and of the expected label in ``labels``.
    """
    places: dict[int, int] = {}
    for output, label in zip(predicted, expected, strict=True):
        if places.setdefault(output, label) != label:
            return None
    if len(set(places.values())) != len(places) or all(output == label for output, label in places.items()):
        return None
    for rule, order in _rules(labels, places):
        if all(order[output] == label for output, label in places.items()):
            return LabelOrder(tuple(labels[label] for label in order), tuple(sorted(places)), rule)
    return LabelOrder(tuple(labels[label] for label in _filled(places, len(labels))), tuple(sorted(places)))


def _filled(places: dict[int, int], count: int) -> list[int]:
    """Complete a part of a permutation: labels that may stay do, the others fill what is free."""
    free = [label for label in range(count) if label not in places.values()]
    order = [places.get(output, output if output in free else -1) for output in range(count)]
    rest = iter([label for label in free if label not in order])
    return [label if label >= 0 else next(rest) for label in order]


def _rules(labels: Sequence[str], places: dict[int, int]) -> list[tuple[str, list[int]]]:
    """Whole orders that are common mistakes. With few labels every order looks like one, so they need two witnesses."""
    count = len(labels)
    if len(places) < 2 or count < 4:
        return []
    indices = range(count)
    output, label = next(iter(places.items()))
    shift = (label - output) % count
    turned = [(index + shift) % count for index in indices]
    by = f"shifted by {shift if shift <= count // 2 else shift - count}"
    return [
        ("sorted alphabetically", sorted(indices, key=lambda index: labels[index])),
        ("reversed", list(reversed(indices))),
        (by, turned),
    ]
