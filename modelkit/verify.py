"""Verify that a model's folder serves what its card states, one check for each property, through the serving core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from loupe.card import LOGIT_KINDS, Card, CardError, card_json, parse_card
from loupe.classifier import Classifier
from loupe.errors import ModelFailed, Problem
from loupe.model import RUN_ERRORS, Array, Model
from loupe.model_files import read_golden
from loupe.tensor import from_pixels

from modelkit.checks import Check, passed
from modelkit.diagnosis import diagnose
from modelkit.files import check_files
from modelkit.golden import evidence_of
from modelkit.graph import load_graph, run_dependence
from modelkit.graph_end import graph_end
from modelkit.labelled_images import UNLIMITED, tensor_from
from modelkit.reading import probabilities_of
from modelkit.runtime_limits import obstacle_to_loading
from modelkit.schema import violations

if TYPE_CHECKING:
    from pathlib import Path

# How far a probability may move when an image is served in a batch instead of alone.
_BATCH_SHIFT = 1e-3
_SQUASHED = {
    "logit": "probability", "logits": "probabilities", "multilabel-logits": "multilabel-probabilities",
}  # fmt: skip
_MAX_IMAGES = 8
# Of the images made by `_tensor`, the first are of one colour.
_SINGLE_COLOURS = 3


def verify(directory: Path, *, cheap: bool = False) -> list[Check]:
    """Check a model's folder; ``cheap`` stops before the graph is loaded.

    Returns
    -------
    list[Check]
        In the order of the checks. What a failed check makes senseless is not tried.
    """
    checks, card = _check_card(directory)
    if card is None:
        return checks
    checks += check_files(card)
    if cheap or not passed(checks):
        return checks
    if obstacle := obstacle_to_loading(load_graph(card.graph_path)):
        return [*checks, Check("graph", "fail", f"{card.graph} {obstacle}", "Export the graph again.")]
    try:
        model = Model.load(card)
    except CardError as error:
        return [*checks, Check("graph", "fail", _one_line(error), "Change the card, or export the graph again.")]
    checks.append(Check("graph", "pass", "loads, runs, and has the input and output that the card names."))
    checks += check_numbers(card, model)
    if passed(checks):
        checks += _check_golden(card, model)
    return checks


def _check_card(directory: Path) -> tuple[list[Check], Card | None]:
    try:
        raw = card_json(directory)
        sentences = violations(raw)
        card = parse_card(raw, directory)
    except CardError as error:
        return [Check("card", "fail", str(error), "Change card.json.")], None
    checks = [Check("card", "fail", sentence, "Change card.json; card.schema.json says what each key holds.")
              for sentence in sentences]  # fmt: skip
    if card.name != directory.name:
        checks.append(
            Check("name", "fail", f"The card says {card.name!r}, its folder is {directory.name!r}.", "Make them equal.")
        )
    return checks or [Check("card", "pass", f"{card.name} {card.version}, {card.variant}: fits the schema.")], card


def check_numbers(card: Card, model: Model) -> list[Check]:
    """Check the model's output on any images: range, batches and repetition."""
    tensors = [_tensor(card, index) for index in range(_MAX_IMAGES)]
    for case in card.golden[:_MAX_IMAGES]:
        try:
            tensors.append(tensor_from(read_golden(card.directory, case.image), card.input))
        except (CardError, Problem):
            continue
    checks: list[Check] = []
    if not _finite(model, tensors[:_SINGLE_COLOURS]):
        checks.append(
            Check("finite", "warn", "An image of a single colour gives no number: it is answered with model_failed.",
                  "Usual for graphs that divide by each image's deviation; otherwise look for NaN in the weights.")
        )  # fmt: skip
        tensors = tensors[_SINGLE_COLOURS:]
    batch = np.stack(tensors)
    try:
        singles = np.concatenate([model.run(tensor[None]) for tensor in batch])
    except ModelFailed as error:
        return [Check("finite", "fail", error.detail, "The weights, or an operator in them, give NaN or inf.")]
    if not checks:
        checks.append(
            Check("finite", "pass", f"{len(batch)} images give finite numbers, those of one colour included.")
        )
    checks.append(check_range(card, singles))
    if not passed(checks):
        return checks
    checks.append(_check_batch(card, model, batch, singles))
    again = np.concatenate([model.run(tensor[None]) for tensor in batch])
    same = np.array_equal(singles, again)
    checks.append(
        Check("repetition", "pass", "the same image gives the same numbers, bit by bit.")
        if same
        else Check("repetition", "fail", "The same image gives different numbers.",
                   "Export for inference: dropout or random operators are still in the graph.")
    )  # fmt: skip
    return checks


def _finite(model: Model, tensors: list[Array]) -> bool:
    try:
        for tensor in tensors:
            model.run(tensor[None])
    except ModelFailed:
        return False
    return True


def _tensor(card: Card, index: int) -> Array:
    """Synthetic images: black, white, grey, and noise from a fixed seed."""
    spec = card.input
    shape = (spec.height, spec.width) if spec.channels == 1 else (spec.height, spec.width, spec.channels)
    values = {0: 0, 1: 255, 2: 128}
    if index in values:
        pixels = np.full(shape, values[index], np.uint8)
    else:
        pixels = np.random.default_rng(index).integers(0, 256, shape, np.uint8)
    return from_pixels(pixels, spec)


def check_range(card: Card, rows: Array) -> Check:
    """Check the numbers and the graph's end against the kind: softmax or sigmoid applied twice, or not at all."""
    kind, labels = card.output.kind, len(card.output.labels)
    bounded = bool((rows >= -1e-3).all() and (rows <= 1 + 1e-3).all())
    proto = load_graph(card.graph_path)
    end = graph_end(proto.graph, card.output.name, card.output.size, proto.producer_name)
    several = card.output.size > 1
    squash = "sigmoid" if card.output.multilabel or not several else "softmax"
    observed = f"the numbers go from {rows.min():.3g} to {rows.max():.3g}"
    sums_to_one = several and bool(np.allclose(rows.sum(axis=1), 1, atol=1e-2))
    if kind in LOGIT_KINDS:
        squashed = end.kind is not None and end.kind not in LOGIT_KINDS
        # Averages of probabilities (CalibratedClassifierCV) end in a linear operator too; logits never all add up to 1.
        never_leaves = bounded and (sums_to_one if several else end.kind not in LOGIT_KINDS)
        if squashed or never_leaves:
            return Check(
                "range", "fail",
                f"The card says {kind!r}, but {observed}: {squash} would be applied twice. {end.reason}",
                f"Set output.kind to {_SQUASHED[kind]!r}.",
            )  # fmt: skip
        return Check("range", "pass", f"{observed}, as {kind!r} may.")
    if not bounded:
        if several and rows.min() >= 0 and np.allclose(rows.sum(axis=1), 100, atol=1):
            return Check(
                "range", "fail", f"{observed} and add up to 100: they are percent.", "Export without the factor 100."
            )
        right = next(logits for logits, squashed in _SQUASHED.items() if squashed == kind)
        return Check(
            "range", "fail", f"The card says {kind!r}, but {observed}: no {squash} was applied. {end.reason}",
            f"Set output.kind to {right!r}.",
        )  # fmt: skip
    if end.kind in LOGIT_KINDS:
        return Check("range", "warn", f"{observed}, as {kind!r} may, but the graph says otherwise. {end.reason}",
                     "Hold golden probabilities of training against it.")  # fmt: skip
    if kind == "probabilities" and not sums_to_one:
        return Check(
            "range", "warn",
            f"The {labels} probabilities do not add up to 1: the labels are independent of each other.",
            "The highest is the label; if several can be right, set output.kind to 'multilabel-probabilities'.",
        )  # fmt: skip
    if card.output.multilabel and (sums_to_one or end.kind == "probabilities"):
        return Check(
            "range", "warn", f"The {labels} probabilities add up to 1, as of labels that exclude each other.",
            "If exactly one label is right, set output.kind to 'probabilities'.",
        )  # fmt: skip
    return Check("range", "pass", f"{observed}, as {kind!r} may.")


def _check_batch(card: Card, model: Model, batch: Array, singles: Array) -> Check:
    try:
        together = model.run_together(batch)
    except RUN_ERRORS as error:
        if not card.output.independent:
            return Check("batch", "pass", "each image is run alone; the graph takes no batch.")
        return Check(
            "batch", "fail", f"The graph runs with one image and fails with {len(batch)}: {_one_line(error)[:300]}",
            "Export with a dynamic first axis, or set output.independent to false: each image is then run alone.",
        )  # fmt: skip
    if together.shape != singles.shape:
        return Check(
            "batch", "fail", f"{len(batch)} images in one batch give {together.shape}, alone {singles.shape}.",
            "Export with a dynamic first axis.",
        )  # fmt: skip
    shift = max(
        float(np.abs(probabilities_of(one, card.output) - probabilities_of(other, card.output)).max())
        for one, other in zip(together, singles, strict=True)
    )
    reason = run_dependence(load_graph(card.graph_path))
    moved = f"a probability moves by {shift:.4f} when {len(batch)} images share a batch"
    size = "any size" if model.static_batch is None else f"{model.static_batch}, padded"
    if not card.output.independent:
        alone = np.array_equal(model.run(batch), singles)
        if not alone:
            return Check("batch", "fail", "An image gives other numbers in a batch, although each is run alone.",
                         "Export for inference: the graph keeps a state.")  # fmt: skip
        return Check("batch", "pass", f"each image is run alone. {reason or 'The card says so'}; together, {moved}.")
    if reason and model.static_batch != 1:
        return Check(
            "batch", "fail", f"{reason}, so an answer depends on the other images of the batch: {moved}.",
            "Set output.independent to false: each image is then run alone.",
        )  # fmt: skip
    if shift > _BATCH_SHIFT:
        return Check(
            "batch", "fail", f"{moved[0].upper()}{moved[1:]}.",
            "Export in inference mode (model.eval()): batch normalisation still uses the batch.",
        )  # fmt: skip
    return Check("batch", "pass", f"{len(batch)} at once equal {len(batch)} alone within {shift:.1e} (batch {size}).")


def _check_golden(card: Card, model: Model) -> list[Check]:
    if not card.golden:
        return [
            Check("golden", "warn", "The card has no golden case: nothing holds serving to what was trained.",
                  "Add one whose answer is known from training: 'add --golden IMAGE=LABEL:PROBABILITY', or by hand.")
        ]  # fmt: skip
    classifier = Classifier(card, model, UNLIMITED)
    checks, readable = [], True
    for case in card.golden:
        name = f"golden {case.image}"
        try:
            prediction = classifier.classify(read_golden(card.directory, case.image))
        except CardError as error:
            checks.append(Check(name, "fail", str(error), "Put the image itself there, or drop the case."))
            readable = False
            continue
        except Problem as problem:
            checks.append(Check(name, "fail", problem.detail, "Choose an image that can be served."))
            continue
        probability = dict(prediction.scores)[case.label]
        observed = f"{case.label} {probability:.4f}, the card says {case.probability:.4f} +- {case.tolerance:g}"
        right = case.label in prediction.assigned_labels and abs(probability - case.probability) <= case.tolerance
        checks.append(
            Check(name, "pass", f"{observed}.") if right else Check(name, "fail", f"{observed}.", "See below.")
        )
    if not passed(checks) and readable:
        checks.append(_suggestion(card, model))
    return checks


def _suggestion(card: Card, model: Model) -> Check:
    finding = diagnose(card, model, evidence_of(card.directory, card.golden))
    only = finding.unique_candidate
    name = "label order" if only is not None and only.order is not None else "preprocessing"
    if len(finding.candidates) > 1:
        name = "label order or preprocessing" if finding.candidates[0].order is not None else name
    return Check(name, "fail", finding.detail, finding.fix)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
