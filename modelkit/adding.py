"""Create a model's folder from an ONNX file: facts come from the graph or from the user and are never guessed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loupe.card import BINARY_KINDS, KINDS, MULTILABEL_KINDS, CardError, load_card
from loupe.classifier import Classifier
from loupe.errors import Problem
from loupe.model_files import locate

from modelkit.errors import MissingAnswersError, MissingDataError, ModelkitError
from modelkit.folders import describe_file, staged_folder, write_card
from modelkit.golden import Golden, make_cases, read_answer
from modelkit.graph import load_graph, run_dependence
from modelkit.input_fields import input_fields
from modelkit.inspection import Inspection, inspect_file
from modelkit.label_forms import check_labels
from modelkit.labelled_images import UNLIMITED
from modelkit.rewriting import served_form
from modelkit.tasks import not_scores, other_task, scores_output

if TYPE_CHECKING:
    from pathlib import Path

GRAPH_NAME = "model.onnx"


@dataclass
class Answers:
    """Facts about a model that the user states; None if not stated."""

    labels: tuple[str, ...] | None = None
    preprocess: str | None = None
    scale: float | str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: str | None = None
    resize: str | None = None
    fit: str | None = None
    shortest: int | None = None
    resize_to: tuple[int, int] | None = None
    crop_offset: str | None = None
    crop_first: bool | None = None
    pad_color: tuple[int, int, int] | None = None
    align: str | None = None
    antialias: bool | None = None
    exif: str | None = None
    grey: str | None = None
    size: tuple[int, int] | None = None
    layout: str | None = None
    kind: str | None = None
    output: str | None = None
    temperature: float = 1.0
    thresholds: tuple[float, ...] | None = None
    jpeg_draft: float = 0
    version: str = "1.0.0"
    description: str | None = None
    license: str | None = None
    golden: tuple[Golden, ...] = field(default=())
    bind: dict[str, str] = field(default_factory=dict)


def plan(file: Path, name: str, answers: Answers) -> tuple[Inspection, dict[str, Any]]:
    """Return the inspection and the card that follows from it and the answers, without files and golden cases.

    Raises
    ------
    modelkit.errors.MissingAnswersError
        With every option that is still needed.
    modelkit.errors.ModelkitError
        If the model cannot be served, or an answer contradicts the graph.
    """
    inspection = inspect_file(file, answers.bind)
    for external in inspection.missing:
        raise MissingDataError(external.error_message(file.name))
    if inspection.obstacle:
        raise ModelkitError(f"{file.name} {inspection.obstacle}")
    questions: dict[str, str] = {}
    if len(inspection.inputs) != 1:
        names = [value.name for value in inspection.inputs]
        raise ModelkitError(
            f"{file.name} has {len(inspection.inputs)} inputs ({', '.join(names)}); an image classifier has one. "
            "Export the classifier alone, or bind the others to constants: --bind NAME=VALUE."
        )
    card: dict[str, Any] = {
        "$schema": "../card.schema.json",
        "name": name,
        "version": answers.version,
        "description": answers.description or _described(answers.labels or inspection.labels),
        "input": input_fields(inspection, answers, questions),
        "output": _output(inspection, answers, questions),
    }
    if answers.license:
        card["license"] = {"spdx": answers.license}
    if questions:
        raise MissingAnswersError(questions)
    for golden in answers.golden:
        read_answer(golden.answer, card["output"]["labels"])
    return inspection, card


def _described(labels: tuple[str, ...] | None) -> str:
    shown = ", ".join((labels or ())[:4])
    return f"Tells apart: {shown}{', ...' if labels and len(labels) > 4 else ''}."


def _output(inspection: Inspection, answers: Answers, questions: dict[str, str]) -> dict[str, Any]:
    name = answers.output or scores_output(inspection)
    names = [value.name for value in inspection.outputs]
    if name is not None and name not in names:
        raise ModelkitError(f"--output {name} is none of the graph's outputs ({', '.join(names)}).")
    if answers.kind and answers.kind not in KINDS:
        raise ModelkitError(f"--kind {answers.kind} is unknown; there are {', '.join(KINDS)}.")
    task = other_task(inspection, name)
    if task and not answers.kind:
        raise ModelkitError(
            f"{inspection.path.name} looks like {task} Loupe serves classifiers of images. If it is one all the same, "
            "say how its numbers are read with --kind."
        )
    if name is None:
        possible = [value.name for value in inspection.outputs if not not_scores(value)]
        if not possible:
            raise ModelkitError(" ".join(filter(None, map(not_scores, inspection.outputs))))
        if all(inspection.sizes[one] == 1 for one in possible) and len(possible) > 1 and len(possible) < len(names):
            raise ModelkitError(
                f"Outputs {', '.join(possible)} look like one class each (zipmap='columns' in skl2onnx): export with "
                "zipmap=False. If one of them alone is the answer, name it with --output."
            )
        questions["--output"] = f"which output holds the classes: {', '.join(possible)}?"
        return {}
    if reason := not_scores(next(value for value in inspection.outputs if value.name == name)):
        raise ModelkitError(reason)
    end, size = inspection.ends[name], inspection.sizes[name]
    labels = answers.labels or inspection.labels
    if labels is None:
        count = "two, class 0 first" if size == 1 else f"{size}, in output order" if size else "in output order"
        questions["--labels"] = f"the labels ({count}), or --labels-file with one a line."
    kind = answers.kind or end.kind
    if kind is None:
        questions["--kind"] = f"one of {', '.join(KINDS)}. {end.reason}"
        return {}
    if labels is not None:
        expected = 2 if kind in BINARY_KINDS else size
        if expected is not None and len(labels) != expected:
            background = (
                " Some models have one class more, a 'background' first." if expected == len(labels) + 1 else ""
            )
            raise ModelkitError(
                f"{len(labels)} labels were given, but output {name!r} ({kind}, {size} number(s)) needs {expected}."
                f"{background}"
            )
        check_labels(labels)
    fields: dict[str, Any] = {"name": name, "kind": kind, "labels": list(labels or ())}
    if answers.thresholds is not None and kind not in MULTILABEL_KINDS:
        raise ModelkitError(f"--threshold belongs to the kinds {' and '.join(MULTILABEL_KINDS)}, not to {kind!r}.")
    if kind in MULTILABEL_KINDS:
        fields["thresholds"] = list(answers.thresholds or (0.5,))
    return fields | ({"temperature": answers.temperature} if answers.temperature != 1 else {})


def overridden(inspection: Inspection, answers: Answers) -> list[str]:
    """Return a warning with the evidence if ``--kind`` reads the output otherwise than the graph."""
    name = answers.output or scores_output(inspection)
    if answers.kind is None or name is None:
        return []
    end, task = inspection.ends[name], other_task(inspection, name)
    warnings = [f"--kind {answers.kind} although this looks like {task}"] if task else []
    # Linear ends are logits of labels that exclude each other or not: the graph cannot say which.
    same = {"logits", "multilabel-logits"} == {end.kind, answers.kind}
    if end.kind is not None and end.kind != answers.kind and not same:
        warnings.append(f"--kind {answers.kind} overrides the graph, which is read as {end.kind}. {end.reason}")
    return warnings


def add(file: Path, models_dir: Path, name: str, answers: Answers, *, replace: bool = False) -> Path:
    """Make ``models_dir/name`` with the graph, its data, golden images and a complete card. Returns the folder.

    Raises
    ------
    modelkit.errors.ModelkitError
        As `plan`, or if the model does not load, or a golden image is not classified as it was given.
    """
    inspection, raw = plan(file, name, answers)
    with staged_folder(models_dir / name, replace=replace) as folder:
        _put_graph(inspection, folder / GRAPH_NAME, answers.bind)
        names = [GRAPH_NAME]
        for external in inspection.external:
            try:
                source = locate(file.parent, external.location)
            except CardError as error:
                raise ModelkitError(f"{file.name} keeps weights in a file that cannot be taken: {error}") from None
            (folder / external.location).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / external.location)
            names.append(external.location)
        if run_dependence(load_graph(file)):
            raw["output"]["independent"] = False
        raw["graph"] = GRAPH_NAME
        raw["files"] = [describe_file(folder, path) for path in names]
        raw["provenance"] = {
            "source_file": file.name,
            **({"producer": inspection.producer} if inspection.producer else {}),
        }
        write_card(folder, raw)
        try:
            classifier = Classifier.load(folder, UNLIMITED)
        except (CardError, Problem) as error:
            # The temporary folder would not help the reader of the message.
            raise ModelkitError(" ".join(str(error).replace(folder.name, name).split())) from None
        if answers.golden:
            raw["golden"] = make_cases(folder, classifier, answers.golden)
            write_card(folder, raw)
            load_card(folder)
    return models_dir / name


def _put_graph(inspection: Inspection, target: Path, bindings: dict[str, str]) -> None:
    """Copy the graph: byte for byte, unless it is rewritten for serving."""
    if inspection.rewritten:
        target.write_bytes(
            served_form(load_graph(inspection.path), bindings).proto.SerializeToString(deterministic=True)
        )
    else:
        shutil.copyfile(inspection.path, target)
