"""Commands that make a model smaller or faster: quantize, optimize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from loupe.card import load_card
from loupe.processor import describe

from modelkit.cli import show
from modelkit.cli.app import DEFAULT_MODELS_DIR, REJECTED, AsJson, ModelsDir, Name, app, examples, guarded
from modelkit.folders import model_folder
from modelkit.gating import golden_images
from modelkit.labelled_images import images_for, spread
from modelkit.optimizing import optimize as optimize_model
from modelkit.quantize.trials import JUDGED_IMAGES, Plan
from modelkit.quantize.trials import quantize as quantize_model

Scheme = Literal["auto", "int8-dynamic", "int8-static", "int4-weights", "mixed", "float16"]


@app.command(
    epilog=examples(
        "quantize course --scheme auto --calibration photos/train",
        "quantize course --scheme int4-weights --block-size 64 --images photos/validation",
    )
)
@guarded
def quantize(
    name: Name,
    scheme: Annotated[
        Scheme, typer.Option(help="auto tries all that make sense and keeps the best that passes.")
    ] = "auto",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Images (DIR/<label>/ or flat): ranges for int8-static; some are set apart to judge."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Other images to judge on.")] = None,
    block_size: Annotated[
        int | None, typer.Option(help="Weights that share a scale, for 4 bits: 16, 32, ... 256.")
    ] = None,
    method: Annotated[
        Literal["minmax", "percentile"] | None, typer.Option(help="How int8-static takes ranges from the images.")
    ] = None,
    even_if_worse: Annotated[
        bool, typer.Option("--even-if-worse", help="Keep one scheme's variant although the gate rejects it.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing variant.")] = False,
    as_json: AsJson = False,
    models_dir: ModelsDir = DEFAULT_MODELS_DIR,
) -> None:
    """Make models/NAME-<scheme>/ with smaller weights, if it passes the gate and is smaller or faster."""
    if block_size is not None and block_size not in (16, 32, 64, 128, 256):
        raise typer.BadParameter("--block-size must be 16, 32, 64, 128 or 256")
    card = load_card(model_folder(models_dir, name))
    with show.progress() as report:
        plan = Plan(
            scheme=scheme,
            calibration=images_for(card, calibration, labels_needed=False) if calibration else (),
            judged=images_for(card, images, labels_needed=False) if images else (),
            block=block_size,
            method=method,
            replace=replace,
            even_if_worse=even_if_worse,
            progress=report,
        )
        outcome = quantize_model(card, plan)
    if as_json:
        show.as_json(outcome.to_json())
    else:
        show.trials(outcome)
        if outcome.folder is not None:
            show.plain([f"{outcome.folder} is made."])
    if outcome.folder is None:
        raise typer.Exit(REJECTED)


@app.command(epilog=examples("optimize hair-type", "optimize course --images photos/validation"))
@guarded
def optimize(
    name: Name,
    images: Annotated[Path | None, typer.Option(help="Images to compare on.", show_default="its golden cases")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing variant.")] = False,
    as_json: AsJson = False,
    models_dir: ModelsDir = DEFAULT_MODELS_DIR,
) -> None:
    """Make models/NAME-optimized/ if it measurably loads faster and gives the same results."""
    card = load_card(model_folder(models_dir, name))
    labelled = golden_images(card) if images is None else images_for(card, images, labels_needed=False)
    with show.progress() as report:
        outcome = optimize_model(card, spread(labelled, JUDGED_IMAGES), replace=replace, progress=report)
    if as_json:
        show.as_json(outcome.to_json())
    else:
        show.comparison(outcome.comparison)
        show.plain(
            [f"Timed on {describe()}.", outcome.reason] + ([f"{outcome.folder} is made."] if outcome.folder else [])
        )
    if outcome.folder is None:
        raise typer.Exit(REJECTED)
