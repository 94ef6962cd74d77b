"""When golden cases fail: which other reading of the card would make them fit?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from loupe.errors import Problem
from loupe.model_files import read_golden
from loupe.prediction import read

from modelkit.pictures import tensor_from
from modelkit.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loupe.card import Card, GoldenCase, InputSpec, OutputSpec
    from loupe.model import Model

_FILTERS = ("bilinear", "nearest", "bicubic", "lanczos")
_FITS = ("stretch", "crop", "pad")
_SWAPPED = {"logit": "probability", "probability": "logit", "logits": "probabilities", "probabilities": "logits"}
_MOST_CHANGES = 3


@dataclass(frozen=True)
class Alternative:
    """A card with other preprocessing or another reading of the output; ``changes`` says it in the card's words."""

    changes: tuple[str, ...]
    input: InputSpec
    output: OutputSpec


def fitting(card: Card, model: Model) -> list[Alternative]:
    """Return the alternatives with the fewest changes under which every golden case holds, best first."""
    best: list[Alternative] = []
    for alternative in sorted(_alternatives(card), key=lambda each: len(each.changes)):
        if best and len(alternative.changes) > len(best[0].changes):
            break
        if all(_holds(card, case, alternative, model) for case in card.golden):
            best.append(alternative)
    return best


def _holds(card: Card, case: GoldenCase, alternative: Alternative, model: Model) -> bool:
    try:
        tensor = tensor_from(read_golden(card.directory, case.image), alternative.input)
        prediction = read(model.run(tensor[None])[0], alternative.output)
    except Problem:
        return False
    probability = dict(prediction.scores)[case.label]
    return prediction.label == case.label and abs(probability - case.probability) <= case.tolerance


def _alternatives(card: Card) -> Iterator[Alternative]:
    """Every combination of the usual differences that changes at most a few things."""
    inputs, outputs = list(_inputs(card.input)), list(_outputs(card.output))
    for (input_changes, spec), (output_changes, output) in product(inputs, outputs):
        changes = input_changes + output_changes
        if 0 < len(changes) <= _MOST_CHANGES:
            yield Alternative(changes, spec, output)


def _inputs(spec: InputSpec) -> Iterator[tuple[tuple[str, ...], InputSpec]]:
    colors = [spec.color] if spec.color == "L" else ["RGB", "BGR"]
    for filter_, fit, color, numbers in product(_FILTERS, _FITS, colors, _normalisations(spec)):
        resize = spec.resize._replace(filter=filter_, fit=fit)
        if fit != "crop":
            resize = resize._replace(shortest=None)
        other = spec._replace(color=color, resize=resize, **numbers[1])
        yield _input_changes(spec, other, numbers[0]), other
    if spec.jpeg_draft:
        yield ("input.jpeg_draft 0",), spec._replace(jpeg_draft=0)


def _normalisations(spec: InputSpec) -> list[tuple[str, dict[str, Any]]]:
    own = {"scale": spec.scale, "mean": spec.mean, "std": spec.std}
    found: list[tuple[str, dict[str, Any]]] = [("", own)]
    if spec.dtype == "uint8":
        return found
    for name, preset in PRESETS.items():
        try:
            fields = preset.fields(spec.channels)
        except ValueError:
            continue
        scale = 1 / 255 if fields["scale"] == "1/255" else float(fields["scale"])
        numbers = {"scale": scale, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])}
        if numbers != own:
            found.append((f"preprocessing {name!r} (input.scale, mean, std)", numbers))
    return found


def _input_changes(spec: InputSpec, other: InputSpec, normalisation: str) -> tuple[str, ...]:
    changes = []
    if other.resize.filter != spec.resize.filter:
        changes.append(f"input.resize.filter {other.resize.filter!r}")
    if other.resize.fit != spec.resize.fit:
        changes.append(f"input.resize.fit {other.resize.fit!r}")
    if other.color != spec.color:
        changes.append(f"input.color {other.color!r}")
    if normalisation:
        changes.append(normalisation)
    return tuple(changes)


def _outputs(output: OutputSpec) -> Iterator[tuple[tuple[str, ...], OutputSpec]]:
    kinds: Any = (output.kind, _SWAPPED[output.kind])
    orders = [output.labels]
    if len(output.labels) <= 4:
        orders.append(output.labels[::-1])
    for kind, labels in product(kinds, orders):
        changes = []
        if kind != output.kind:
            changes.append(f"output.kind {kind!r}")
        if labels != output.labels:
            changes.append(f"output.labels {list(labels)!r}")
        temperature = output.temperature if kind == output.kind else 1.0
        yield tuple(changes), output._replace(kind=kind, labels=labels, temperature=temperature)
