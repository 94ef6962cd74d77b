"""Diagnose failed golden cases: find changes to the card that explain them, and whether they are unique.

Only a unique explanation is recommended. Several are listed with their fit, label orders first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from loupe.errors import Problem

from modelkit.alternatives import Change, input_changes, other_kinds
from modelkit.label_order import LabelOrder, derive
from modelkit.labelled_images import tensor_from
from modelkit.reading import probabilities_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loupe.card import Card, InputSpec, OutputSpec
    from loupe.model import Array, Model

_LISTED = 4
# Labels alone fit many combinations by chance; a stated probability seldom does.
_MAX_CHANGES = 3
_MAX_CHANGES_BY_LABELS = 2


class Evidence(NamedTuple):
    """A golden image's bytes and its correct label; ``probability`` is None where only the label is known."""

    image: bytes
    label: str
    probability: float | None
    tolerance: float


@dataclass(frozen=True)
class Candidate:
    """A candidate interpretation: its changes to the card, and how many golden cases it classifies correctly."""

    changes: tuple[str, ...]
    fits: int
    probability: float
    order: LabelOrder | None = None

    def describe(self, total: int) -> str:
        """Return the changes and their fit."""
        return f"{' and '.join(self.changes)} ({self.fits} of {total}, mean probability {self.probability:.2f})"


@dataclass(frozen=True)
class Finding:
    """``candidates`` that fit all of the evidence; ``detail`` and ``fix`` are sentences."""

    candidates: tuple[Candidate, ...]
    detail: str
    fix: str

    @property
    def unique_candidate(self) -> Candidate | None:
        """Return the only candidate that fits the evidence, if there is exactly one."""
        if len(self.candidates) != 1:
            return None
        (only,) = self.candidates
        return None if only.order is not None and not only.order.complete else only


def diagnose(card: Card, model: Model, evidence: Sequence[Evidence]) -> Finding:
    """Try other label orders, preprocessings and kinds, fewest changes first; stop at the first count that fits."""
    trials = _Trials(card, model, evidence)
    stated = any(case.probability is not None for case in evidence)
    nearest: list[Candidate] = []
    for count in range(1, (_MAX_CHANGES if stated else _MAX_CHANGES_BY_LABELS) + 1):
        tried = list(trials.with_changes(count, orders=count == 1 or (count == 2 and stated)))
        whole = [candidate for candidate in tried if candidate.fits == len(evidence)]
        if whole:
            return _finding(tuple(sorted(whole, key=lambda item: item.order is None)), evidence)
        nearest += tried
    now = trials.fit(card.input, card.output)
    better = sorted((item for item in nearest if item.fits > now[0]), key=lambda item: (-item.fits, len(item.changes)))
    detail = "None of the usual preprocessings or label orders explains all golden cases"
    if better:
        detail += "; nearest are " + "; ".join(item.describe(len(evidence)) for item in better[:_LISTED])
    return Finding(
        (), f"{detail}.", "The weights are not those of the golden cases, or training resized or scaled in its own way."
    )


def _finding(candidates: tuple[Candidate, ...], evidence: Sequence[Evidence]) -> Finding:
    total = len(evidence)
    finding = Finding(candidates, "", "")
    listed = "; or ".join(item.describe(total) for item in candidates[:_LISTED])
    more = f"; and {len(candidates) - _LISTED} more" if len(candidates) > _LISTED else ""
    if finding.unique_candidate:
        return Finding(
            candidates, f"All golden cases would fit with {listed}, and with no other single change that was tried."
            if len(candidates[0].changes) == 1
            else f"All golden cases would fit with {listed}, and with nothing simpler that was tried.",
            "Compare it with training, then change the card accordingly.",
        )  # fmt: skip
    orders = any(item.order is not None for item in candidates)
    advice = "Look up " + ("the label order first (dataset.classes, class_indices), then " if orders else "")
    return Finding(
        candidates,
        f"All golden cases would fit with {listed}{more}. The golden cases do not single one out.",
        f"{advice}the preprocessing of training, before anything is changed. A golden case for each label, with "
        "probabilities (IMAGE=LABEL:PROBABILITY), tells them apart.",
    )


class _Trials:
    """The model's outputs for each preprocessing, computed once."""

    def __init__(self, card: Card, model: Model, evidence: Sequence[Evidence]) -> None:
        self._card, self._model, self._evidence = card, model, evidence
        self._rows: dict[InputSpec, list[Array | None]] = {}

    def with_changes(self, count: int, *, orders: bool) -> Iterator[Candidate]:
        """Yield every interpretation with ``count`` changes; ``orders``: derive label orders, too."""
        card = self._card
        if orders:
            for texts, spec in _combined(card.input, count - 1):
                yield from self._ordered(texts, spec)
        for texts, spec in _combined(card.input, count):
            yield self._candidate(texts, spec, card.output)
        for kind_text, output in other_kinds(card.output):
            for texts, spec in _combined(card.input, count - 1):
                yield self._candidate((*texts, kind_text), spec, output)

    def fit(self, spec: InputSpec, output: OutputSpec) -> tuple[int, float]:
        """Return the number of correct cases, and the mean probability of the correct labels."""
        right, total = 0, 0.0
        for case, row in zip(self._evidence, self._rows_of(spec), strict=True):
            probabilities = None if row is None else _probabilities(row, output)
            if probabilities is None:
                continue
            index = output.labels.index(case.label)
            total += float(probabilities[index])
            near = case.probability is None or abs(probabilities[index] - case.probability) <= case.tolerance
            taken = probabilities[index] >= output.thresholds[index] if output.multilabel else None
            right += bool((probabilities.argmax() == index if taken is None else taken) and near)
        return right, total / len(self._evidence)

    def _candidate(
        self, texts: tuple[str, ...], spec: InputSpec, output: OutputSpec, order: LabelOrder | None = None
    ) -> Candidate:
        fits, probability = self.fit(spec, output)
        return Candidate(texts, fits, probability, order)

    def _ordered(self, texts: tuple[str, ...], spec: InputSpec) -> Iterator[Candidate]:
        output = self._card.output
        if output.multilabel:
            # The highest label is not the only right one, so predictions show no order.
            return
        pairs = []
        for case, row in zip(self._evidence, self._rows_of(spec), strict=True):
            probabilities = None if row is None else _probabilities(row, output)
            if probabilities is None:
                return
            pairs.append((int(probabilities.argmax()), output.labels.index(case.label)))
        order = derive(output.labels, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
        if order is not None:
            yield self._candidate((*texts, order.change()), spec, output._replace(labels=order.labels), order)

    def _rows_of(self, spec: InputSpec) -> list[Array | None]:
        if spec not in self._rows:
            self._rows[spec] = [self._run(case.image, spec) for case in self._evidence]
        return self._rows[spec]

    def _run(self, image: bytes, spec: InputSpec) -> Array | None:
        try:
            row: Array = self._model.run(tensor_from(image, spec)[None])[0]
        except Problem:
            return None
        return row


def _probabilities(row: Array, output: OutputSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
    try:
        return probabilities_of(row, output)
    except Problem:
        return None


def _combined(spec: InputSpec, count: int) -> Iterator[tuple[tuple[str, ...], InputSpec]]:
    """Yield the input with every combination of ``count`` changes to different parts."""
    changes = input_changes(spec)
    for chosen in combinations(changes, count):
        if len({change.part for change in chosen}) == count:
            yield tuple(change.text for change in chosen), _applied(spec, chosen)


def _applied(spec: InputSpec, changes: Sequence[Change]) -> InputSpec:
    for change in changes:
        spec = change.apply(spec)
    return spec
