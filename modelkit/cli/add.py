"""Commands that add a model: inspect, add, fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from loupe.card import load_card
from loupe.input_spec import INTEGER_DTYPES

from modelkit import adding
from modelkit.adding import Answers
from modelkit.checks import passed
from modelkit.cli import options, prompts, show
from modelkit.cli.app import DEFAULT_MODELS_DIR, REJECTED, AsJson, ModelsDir, Name, app, examples, guarded
from modelkit.errors import MissingDataError, ModelkitError
from modelkit.fetching import fetch as fetch_files
from modelkit.folders import model_folder
from modelkit.golden import label_only
from modelkit.input_fields import assumptions
from modelkit.inspection import Inspection, inspect_file
from modelkit.label_forms import join_labels
from modelkit.sources import configurations, fill, read_sources
from modelkit.verify import verify


@app.command(epilog=examples("inspect hair_classifier_v1.onnx", "inspect mobilenet.onnx --json"))
@guarded
def inspect(
    file: Annotated[Path, typer.Argument(help="An ONNX file; its weights may be missing.")],
    as_json: AsJson = False,
    models_dir: ModelsDir = DEFAULT_MODELS_DIR,
) -> None:
    """Show a model's inputs, outputs, costs and missing files."""
    inspection = inspect_file(file)
    beside = _beside(inspection)
    if as_json:
        show.as_json(inspection.to_json() | {"to_be_had": _download_hints(inspection, models_dir), "beside": beside})
        return
    show.inspection(inspection)
    show.plain([f"  {line}" for line in beside])
    show.plain([f"  {line}" for line in _download_hints(inspection, models_dir)])


def _beside(inspection: Inspection) -> list[str]:
    """Values that `add --from` would take from the files beside the graph, and from its metadata."""
    folder = inspection.path.resolve().parent
    try:
        sources = read_sources(folder if configurations(folder) else None, inspection)
        return fill(Answers(), sources, inspection)
    except ModelkitError as error:
        return [str(error)]


def _download_hints(inspection: Inspection, models_dir: Path) -> list[str]:
    """Return commands that download missing files, by the cards that name their URLs."""
    missing = {file.location for file in inspection.missing}
    hints = []
    for path in sorted({*models_dir.glob("*/card.json"), *DEFAULT_MODELS_DIR.glob("*/card.json")}):
        for file in load_card(path.parent).files:
            if file.path in missing and file.urls:
                command = f"python -m modelkit fetch {path.parent.name}"
                hints.append(f"{file.path} is not in the folder: '{command}' downloads it from {file.urls[0]}")
    return hints


@app.command(
    epilog=examples(
        "add hair_classifier_v1.onnx --name course --labels curly,straight --preprocess imagenet --resize bilinear",
        "add mobilenet.onnx --name mobilenet --labels-file imagenet.txt --preprocess imagenet --resize bilinear "
        "--shortest 256",
        "add mnist.onnx --name mnist --labels 0,1,2,3,4,5,6,7,8,9 --preprocess raw --resize bilinear "
        "--golden three.jpg=3:0.9985",
    )
)
@guarded
def add(
    file: Annotated[Path, typer.Argument(help="The ONNX file, its external data beside it.")],
    name: Annotated[str, typer.Option("--name", help="Name of the model and of its folder.")],
    labels: Annotated[
        str | None, typer.Option(help="Labels in output order, with commas between; quotes around one with a comma.")
    ] = None,
    labels_file: Annotated[
        Path | None, typer.Option(help="The same from a file: lines, '0 name', WordNet ids, JSON, YAML, Python, CSV.")
    ] = None,
    number_labels: Annotated[
        bool, typer.Option("--number-duplicates", help="Append the output's number to duplicate labels.")
    ] = False,
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="Folder with the model's configuration: transformers, timm or Custom Vision."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="torchvision's weights, for their transforms: ResNet50_Weights.IMAGENET1K_V2.")
    ] = None,
    preprocess: Annotated[
        str | None, typer.Option(help="How training scaled pixels: imagenet, unit, minus-one-one, raw or caffe.")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="Pixels are multiplied by it: 1/255, -1/255 (inverted) or a number.")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Then subtracted: one number for all channels, or one each: 0.485,0.456,0.406.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Then divided by, likewise.")] = None,
    color: Annotated[str | None, typer.Option(help="RGB, BGR or L (grey).")] = None,
    resize: Annotated[
        str | None, typer.Option(help="Filter of training: nearest, box, bilinear, hamming, bicubic or lanczos.")
    ] = None,
    fit: Annotated[str | None, typer.Option(help="stretch, crop or pad.", show_default="stretch")] = None,
    shortest: Annotated[int | None, typer.Option(help="With crop: the shortest side before it, in pixels.")] = None,
    resize_to: Annotated[
        str | None, typer.Option(help="With crop, instead of --shortest: WIDTHxHEIGHT before it, aspect ratio lost.")
    ] = None,
    crop_offset: Annotated[
        str | None, typer.Option(help="Odd margins of a crop: round (torchvision) or floor (Albumentations, Keras).")
    ] = None,
    crop_first: Annotated[
        bool | None,
        typer.Option("--crop-first", help="With crop: the centre is cut out before the resize, as by fastai."),
    ] = None,
    pad_color: Annotated[str | None, typer.Option(help="With pad: red,green,blue, or one number for all.")] = None,
    align: Annotated[str | None, typer.Option(help="With pad: center or top-left.")] = None,
    antialias: Annotated[
        bool | None, typer.Option(help="No: OpenCV's INTER_LINEAR, tf.image.resize. With --resize bilinear.")
    ] = None,
    exif: Annotated[
        str | None, typer.Option(help="apply turns photos upright; ignore takes pixels as stored, as ImageFolder does.")
    ] = None,
    grey: Annotated[str | None, typer.Option(help="Grey models: luma (Pillow, OpenCV) or average.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, where the graph leaves it open.")] = None,
    layout: Annotated[str | None, typer.Option(help="NCHW or NHWC, where the graph leaves it open.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="logit, probability, logits, probabilities, multilabel-logits or multilabel-probabilities."),
    ] = None,
    output: Annotated[str | None, typer.Option(help="The output with the classes, where there are several.")] = None,
    bind: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE: a further input becomes this constant (numbers with commas between)."),
    ] = None,
    temperature: Annotated[float, typer.Option(help="Logits are divided by it (calibration).")] = 1.0,
    threshold: Annotated[
        str | None, typer.Option(help="Multilabel: a label is given from here on; one number, or one for each label.")
    ] = None,
    jpeg_draft: Annotated[float, typer.Option(help="Decode large JPEGs scaled; 0 is off, 2 is fast and close.")] = 0,
    golden: Annotated[
        list[str] | None,
        typer.Option(
            help="IMAGE=LABEL:PROBABILITY as training saw it, any number of times. IMAGE=LABEL proves the label only."
        ),
    ] = None,
    golden_file: Annotated[
        Path | None, typer.Option(help="A file of them: one a line, or CSV with image,label,probability.")
    ] = None,
    version: Annotated[str, typer.Option(help="Version of the model.")] = "1.0.0",
    description: Annotated[str | None, typer.Option(help="One sentence for people.")] = None,
    license_: Annotated[str | None, typer.Option("--license", help="SPDX expression of the weights.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a model of that name.")] = False,
    as_json: AsJson = False,
    models_dir: ModelsDir = DEFAULT_MODELS_DIR,
) -> None:
    """Make models/NAME with the graph, its data and a complete card; prompts for what the graph lacks."""
    answers = Answers(
        labels=options.labels(labels, labels_file, numbered=number_labels), preprocess=preprocess,
        scale=options.scale(scale), mean=options.numbers(mean), std=options.numbers(std), color=color, resize=resize,
        fit=fit, shortest=shortest, resize_to=options.size(resize_to), crop_offset=crop_offset,
        crop_first=crop_first,
        pad_color=options.color(pad_color), align=align, antialias=antialias, exif=exif, grey=grey,
        size=options.size(size), layout=layout,
        kind=kind, output=output, temperature=temperature,
        thresholds=options.numbers(threshold), jpeg_draft=jpeg_draft, version=version,
        description=description, license=license_, golden=options.golden(golden or [], golden_file),
        bind=options.bindings(bind or []),
    )  # fmt: skip
    inspection = inspect_file(file, answers.bind)
    taken = fill(answers, read_sources(from_, inspection, weights), inspection)
    if not as_json:
        show.plain([f"  {line}" for line in taken])
    options_given: prompts.GivenOptions = []
    with prompts.keeping(options_given):
        try:
            prompts.complete(file, name, answers, options_given)
        except MissingDataError as missing:
            hints = _download_hints(inspect_file(file), models_dir)
            raise ModelkitError("\n".join([str(missing), *hints])) from None
        with show.progress() as report:
            report("copying and loading", 0, 1)
            folder = adding.add(file, models_dir, name, answers, replace=replace)
            checks = verify(folder)
    card = load_card(folder)
    assumed = assumptions(answers, dict(card.raw)["input"])
    inspected = inspect_file(file, answers.bind)
    if answers.kind is None and card.output.kind == "logits":
        assumed.append("exactly one label is right, softmax over all (--kind multilabel-logits: any number is)")
    warnings = adding.overridden(inspected, answers)
    notes = [*warnings, *inspected.rewritten, *label_only(answers.golden, card.output.labels)]
    if as_json:
        shown = {"folder": str(folder), "card": dict(card.raw), "checks": [check.to_json() for check in checks]}
        show.as_json(shown | {"notes": notes, "assumed": assumed, "taken": taken})
    else:
        show.plain([f"{folder / 'card.json'} is written.", *_taken(folder)])
        show.plain([f"  assumed, as nothing says it: {line}" for line in assumed])
        show.checks("It was verified:", checks)
        show.plain(notes)
    if not passed(checks):
        raise typer.Exit(REJECTED)


def _taken(folder: Path) -> list[str]:
    """Values from the graph or a preset, for review."""
    card = load_card(folder)
    spec, output = card.input, card.output
    more = ", ..." if len(output.labels) > 10 else ""
    axes = f"{spec.layout}{', flattened' if spec.flatten else ''}"
    cast = "" if spec.dtype in ("float32", "float64") else ", cast from float32"
    if spec.dtype in INTEGER_DTYPES:
        cast = ", pixels as they are"
    resize = ", ".join(f"{key} {value}" for key, value in card.raw["input"]["resize"].items())
    return [
        f"  input {spec.name!r}: {spec.width}x{spec.height} {spec.color}, {axes}, {spec.dtype}{cast}",
        f"  resized: {resize}; (pixel x {spec.scale:.6g} - {spec.mean}) / {spec.std}",
        f"  output {output.name!r}: {output.kind} of {join_labels(output.labels[:10])}{more}",
    ]


@app.command(epilog=examples("fetch hair-type-course"))
@guarded
def fetch(name: Name, as_json: AsJson = False, models_dir: ModelsDir = DEFAULT_MODELS_DIR) -> None:
    """Download the files of a model whose card names URLs; resumed, verified, then put in place."""
    card = load_card(model_folder(models_dir, name))
    if not any(file.urls for file in card.files):
        raise ModelkitError(f"The card of {name} names no URL; its files come with the repository.")
    with show.progress() as report:
        brought = fetch_files(card, report)
    if as_json:
        show.as_json({"model": name, "fetched": brought})
    else:
        show.plain([f"{path}: fetched and verified." for path in brought] or [f"{name} is whole already."])
