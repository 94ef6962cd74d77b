"""A new model's folder from an ONNX file: what the graph says is read, what it does not say is asked, never guessed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loupe.card import BINARY_KINDS, KINDS, CardError, load_card
from loupe.classifier import Classifier
from loupe.errors import Problem
from loupe.input_spec import COLORS, DTYPES, FILTERS, FITS
from loupe.model_files import locate

from modelkit.errors import MissingAnswersError, MissingDataError, ModelkitError
from modelkit.folders import describe_file, staged_folder, write_card
from modelkit.golden import Golden, make_cases, read_answer
from modelkit.graph import load_graph, run_dependence
from modelkit.inspection import NO_PICTURE, Inspection, Tensor, inspect_file
from modelkit.label_forms import check_labels
from modelkit.pictures import UNLIMITED
from modelkit.presets import PRESETS

if TYPE_CHECKING:
    from pathlib import Path

GRAPH_NAME = "model.onnx"


@dataclass
class Answers:
    """What a person says about a model. None: not said."""

    labels: tuple[str, ...] | None = None
    preprocess: str | None = None
    scale: float | str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: str | None = None
    resize: str | None = None
    fit: str | None = None
    shortest: int | None = None
    size: tuple[int, int] | None = None
    layout: str | None = None
    kind: str | None = None
    output: str | None = None
    temperature: float = 1.0
    jpeg_draft: float = 0
    version: str = "1.0.0"
    description: str | None = None
    license: str | None = None
    golden: tuple[Golden, ...] = field(default=())


def plan(file: Path, name: str, answers: Answers) -> tuple[Inspection, dict[str, Any]]:
    """Return what the file says, and the card that follows from it and from the answers, without files and golden.

    Raises
    ------
    modelkit.errors.MissingAnswersError
        With every option that is still needed.
    modelkit.errors.ModelkitError
        If the model cannot be served, or an answer contradicts the graph.
    """
    seen = inspect_file(file)
    for external in seen.missing:
        raise MissingDataError(external.complaint(file.name))
    if seen.obstacle:
        raise ModelkitError(f"{file.name} {seen.obstacle}")
    questions: dict[str, str] = {}
    if len(seen.inputs) != 1:
        raise ModelkitError(
            f"{file.name} has {len(seen.inputs)} inputs ({', '.join(each.name for each in seen.inputs)}); "
            "an image classifier has one. Export the classifier alone."
        )
    card: dict[str, Any] = {
        "$schema": "../card.schema.json",
        "name": name,
        "version": answers.version,
        "description": answers.description or _described(answers.labels),
        "input": _input(seen, answers, questions),
        "output": _output(seen, answers, questions),
    }
    if answers.license:
        card["license"] = {"spdx": answers.license}
    if questions:
        raise MissingAnswersError(questions)
    for golden in answers.golden:
        read_answer(golden.answer, card["output"]["labels"])
    return seen, card


def _described(labels: tuple[str, ...] | None) -> str:
    shown = ", ".join((labels or ())[:4])
    return f"Tells apart: {shown}{', ...' if labels and len(labels) > 4 else ''}."


def _input(seen: Inspection, answers: Answers, questions: dict[str, str]) -> dict[str, Any]:
    value, picture = seen.inputs[0], seen.picture or NO_PICTURE
    if value.dtype not in DTYPES:
        raise ModelkitError(
            f"Input {value.name!r} is {value.dtype}; served are {', '.join(DTYPES)}. Export the model again with a "
            "float32 input (in PyTorch: model.float() and a float32 example)."
        )
    if len(value.shape) != 4:
        raise ModelkitError(
            f"Input {value.name!r} has shape {list(value.shape)}: {picture.reason} This takes no picture."
        )
    layout = picture.layout or answers.layout
    if answers.layout and picture.layout and answers.layout != picture.layout:
        raise ModelkitError(f"--layout {answers.layout} contradicts the graph: {picture.reason}")
    if layout is None:
        questions["--layout"] = f"NCHW (channels first) or NHWC (last)? {picture.reason}"
    channels = picture.channels or (1 if answers.color == "L" else 3 if answers.color else None)
    if channels not in (1, 3):
        if picture.channels is not None:
            raise ModelkitError(
                f"Input {value.name!r} takes {channels} channels; pictures have 1 (grey) or 3 (colour)."
            )
        questions["--color"] = f"one of {', '.join(COLORS)}: the graph does not fix the number of channels."
    width, height = _picture_size(value, seen, answers, questions)
    fields: dict[str, Any] = {
        "name": value.name,
        "width": width,
        "height": height,
        "layout": layout,
        "dtype": value.dtype,
    }
    fields |= _pixels(value.dtype, channels or 3, answers, questions)
    fields["resize"] = _resize(answers, questions)
    if answers.jpeg_draft:
        fields["jpeg_draft"] = answers.jpeg_draft
    order = ("name", "width", "height", "layout", "dtype", "color", "resize", "jpeg_draft", "scale", "mean", "std")
    return {key: fields[key] for key in order if key in fields}


def _picture_size(
    value: Tensor, seen: Inspection, answers: Answers, questions: dict[str, str]
) -> tuple[int | None, int | None]:
    picture = seen.picture
    width, height = (picture.width, picture.height) if picture else (None, None)
    if answers.size:
        wanted = answers.size
        if (width or wanted[0], height or wanted[1]) != wanted:
            raise ModelkitError(f"--size {wanted[0]}x{wanted[1]} contradicts the graph, which takes {width}x{height}.")
        return wanted
    if width is None or height is None:
        questions["--size"] = f"WIDTHxHEIGHT of training: the graph leaves it open ({list(value.shape)})."
    return width, height


def _pixels(dtype: str, channels: int, answers: Answers, questions: dict[str, str]) -> dict[str, Any]:
    """Colour order, scale, mean and std, from the preset and the single values over it."""
    fields: dict[str, Any] = {}
    preset = answers.preprocess or ("raw" if dtype == "uint8" else None)
    if preset is not None:
        if preset not in PRESETS:
            raise ModelkitError(f"--preprocess {preset} is unknown; there are {', '.join(PRESETS)}.")
        try:
            fields = PRESETS[preset].fields(channels)
        except ValueError as error:
            raise ModelkitError(f"--preprocess {preset} {error}. Try unit, minus-one-one or raw.") from None
    elif answers.scale is None or answers.mean is None or answers.std is None:
        questions["--preprocess"] = (
            f"how training scaled the pixels: {', '.join(PRESETS)}; or --scale, --mean and --std one by one."
        )
    for key in ("scale", "mean", "std"):
        given = getattr(answers, key)
        if given is not None:
            fields[key] = given if key == "scale" else list(given)
    if channels == 1:
        fields["color"] = "L"
    elif answers.color is not None:
        fields["color"] = answers.color
    elif preset is None and "--preprocess" not in questions:
        questions.setdefault(
            "--color", "RGB or BGR: the channel order of training (OpenCV reads BGR, most others RGB)."
        )
    if answers.color is not None and (answers.color == "L") != (channels == 1):
        raise ModelkitError(f"--color {answers.color} contradicts the graph, whose input has {channels} channel(s).")
    return fields


def _resize(answers: Answers, questions: dict[str, str]) -> dict[str, Any]:
    if answers.resize is None:
        questions["--resize"] = (
            f"the filter of training: {', '.join(FILTERS)} (torchvision: bilinear; Pillow's resize: bicubic; Keras "
            "load_img: nearest)."
        )
        return {}
    if answers.resize not in FILTERS:
        raise ModelkitError(f"--resize {answers.resize} is unknown; there are {', '.join(FILTERS)}.")
    fields: dict[str, Any] = {
        "filter": answers.resize,
        "fit": answers.fit or ("crop" if answers.shortest else "stretch"),
    }
    if fields["fit"] not in FITS:
        raise ModelkitError(f"--fit {answers.fit} is unknown; there are {', '.join(FITS)}.")
    if answers.shortest is not None:
        fields["shortest"] = answers.shortest
    return fields


def _output(seen: Inspection, answers: Answers, questions: dict[str, str]) -> dict[str, Any]:
    name = answers.output or (seen.outputs[0].name if len(seen.outputs) == 1 else None)
    names = [each.name for each in seen.outputs]
    if name is None:
        questions["--output"] = f"which output holds the classes: {', '.join(names)}?"
        return {}
    if name not in names:
        raise ModelkitError(f"--output {name} is none of the graph's outputs ({', '.join(names)}).")
    end, size = seen.ends[name], seen.sizes[name]
    labels = answers.labels
    if labels is None:
        count = "two, class 0 first" if size == 1 else f"{size}, in output order" if size else "in output order"
        questions["--labels"] = f"the labels ({count}), or --labels-file with one a line."
    kind = answers.kind or end.kind
    if answers.kind and answers.kind not in KINDS:
        raise ModelkitError(f"--kind {answers.kind} is unknown; there are {', '.join(KINDS)}.")
    if answers.kind and end.kind and answers.kind != end.kind:
        raise ModelkitError(
            f"--kind {answers.kind} contradicts the graph. {end.reason} Leave --kind out: it is {end.kind!r}."
        )
    if kind is None:
        questions["--kind"] = f"one of {', '.join(KINDS)}. {end.reason}"
        return {}
    if labels is not None:
        wanted = 2 if kind in BINARY_KINDS else size
        if wanted is not None and len(labels) != wanted:
            background = " Some models have one class more, a 'background' first." if wanted == len(labels) + 1 else ""
            raise ModelkitError(
                f"{len(labels)} labels were given, but output {name!r} ({kind}, {size} number(s)) needs {wanted}."
                f"{background}"
            )
        check_labels(labels)
    fields = {"name": name, "kind": kind, "labels": list(labels or ())}
    return fields | ({"temperature": answers.temperature} if answers.temperature != 1 else {})


def add(file: Path, models_dir: Path, name: str, answers: Answers, *, replace: bool = False) -> Path:
    """Make ``models_dir/name`` with the graph, its data, golden pictures and a complete card. Returns the folder.

    Raises
    ------
    modelkit.errors.ModelkitError
        As `plan`, or if the model does not load, or a golden picture is not classified as it was given.
    """
    seen, raw = plan(file, name, answers)
    with staged_folder(models_dir / name, replace=replace) as folder:
        shutil.copyfile(file, folder / GRAPH_NAME)
        names = [GRAPH_NAME]
        for external in seen.external:
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
        raw["files"] = [describe_file(folder, each) for each in names]
        raw["provenance"] = {"source_file": file.name, **({"producer": seen.producer} if seen.producer else {})}
        write_card(folder, raw)
        try:
            classifier = Classifier.load(folder, UNLIMITED)
        except (CardError, Problem) as error:
            # The temporary folder means nothing to whoever reads this.
            raise ModelkitError(" ".join(str(error).replace(folder.name, name).split())) from None
        if answers.golden:
            raw["golden"] = make_cases(folder, classifier, answers.golden)
            write_card(folder, raw)
            load_card(folder)
    return models_dir / name
