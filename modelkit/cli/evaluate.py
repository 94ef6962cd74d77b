"""Commands that judge a model: verify, evaluate, gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from loupe.card import load_card

from modelkit.checks import passed
from modelkit.cli import show
from modelkit.cli.app import DEFAULT_MODELS_DIR, REJECTED, AsJson, ModelsDir, Name, app, examples, guarded
from modelkit.errors import ModelkitError
from modelkit.evaluation import compare
from modelkit.evaluation import evaluate as evaluate_model
from modelkit.folders import model_folder
from modelkit.gating import Limits, golden_images, judge, judge_successor
from modelkit.labelled_images import images_for
from modelkit.report import write_report
from modelkit.verify import verify as verify_folder


@app.command(epilog=examples("verify", "verify hair-type", "verify course --cheap --json"))
@guarded
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models; by default all whose weights are present.")
    ] = None,
    cheap: Annotated[
        bool, typer.Option("--cheap", help="Only the card and the files; the graph is not loaded.")
    ] = False,
    as_json: AsJson = False,
    models_dir: ModelsDir = DEFAULT_MODELS_DIR,
) -> None:
    """Check card, files, graph, golden cases, batches, repetition and rejections; a failed check names the fix."""
    folders = [model_folder(models_dir, name) for name in names or []] or _all(models_dir)
    results = {}
    with show.progress() as report:
        for count, folder in enumerate(folders):
            report("verifying", count, len(folders))
            results[folder.name] = verify_folder(folder, cheap=cheap)
    fine = all(passed(checks) for checks in results.values())
    if as_json:
        models = {name: [check.to_json() for check in checks] for name, checks in results.items()}
        show.as_json({"passed": fine, "models": models})
    else:
        for name, checks in results.items():
            show.checks(name, checks)
    if not fine:
        raise typer.Exit(REJECTED)


def _all(models_dir: Path) -> list[Path]:
    """Every model, except those whose weights have not been fetched."""
    folders = []
    for path in sorted(models_dir.glob("*/card.json")):
        files = load_card(path.parent).files
        if all(file.urls and not (path.parent / file.path).is_file() for file in files):
            continue
        folders.append(path.parent)
    if not folders:
        raise ModelkitError(f"There is no model in {models_dir}.")
    return folders


@app.command(
    epilog=examples(
        "evaluate hair-type photos/validation",
        "evaluate course-int4-weights photos --against course --html report.html",
    )
)
@guarded
def evaluate(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Images in DIR/<label>/.")],
    against: Annotated[str | None, typer.Option(help="Another model of the same labels to compare with.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a self-contained HTML page with plots.")] = None,
    as_json: AsJson = False,
    models_dir: ModelsDir = DEFAULT_MODELS_DIR,
) -> None:
    """Measure accuracy, calibration, latency and size on labelled images, optionally against another model."""
    card = load_card(model_folder(models_dir, name))
    images = images_for(card, folder)
    with show.progress() as report:
        if against is None:
            comparison, quality = None, evaluate_model(card, images, report)
        else:
            comparison = compare(card, load_card(model_folder(models_dir, against)), images, report)
            quality = comparison.model
        if html is not None:
            report("drawing", 0, 1)
            write_report(html, quality, comparison)
    if as_json:
        value = quality.to_json()
        if comparison is not None:
            value |= {"reference": comparison.against.to_json(), "comparison": comparison.to_json()}
        show.as_json(value)
        return
    show.quality(quality)
    if comparison is not None:
        show.quality(comparison.against)
        show.comparison(comparison)
    if html is not None:
        show.plain([f"{html} is written."])


@app.command(epilog=examples("gate course-int4-weights --against course --images photos/validation"))
@guarded
def gate(
    name: Name,
    against: Annotated[str, typer.Option(help="The model that it is to replace.")],
    images: Annotated[
        Path | None, typer.Option(help="Images in DIR/<label>/, or without labels.", show_default="its golden cases")
    ] = None,
    successor: Annotated[
        bool, typer.Option("--successor", help="NAME was retrained: compare accuracy and latency only.")
    ] = False,
    as_json: AsJson = False,
    models_dir: ModelsDir = DEFAULT_MODELS_DIR,
) -> None:
    """Exit with 0 only if NAME is within the release limits of the other model's card."""
    if successor and images is None:
        raise typer.BadParameter("--successor compares accuracy: give --images DIR with images in DIR/<label>/")
    folder = model_folder(models_dir, name)
    card, reference = load_card(folder), load_card(model_folder(models_dir, against))
    labelled = golden_images(reference) if images is None else images_for(card, images, labels_needed=False)
    with show.progress() as report:
        checks = verify_folder(folder)
        comparison = None
        if passed(checks):
            comparison = compare(card, reference, labelled, report)
            checks = (judge_successor if successor else judge)(comparison, Limits.of(reference))
    fine = passed(checks)
    if as_json:
        value = {"passed": fine, "checks": [check.to_json() for check in checks]}
        show.as_json(value | ({"comparison": comparison.to_json()} if comparison else {}))
    else:
        show.checks(f"{name} in place of {against}:", checks)
        show.plain(["It passes." if fine else "It does not pass."])
    if not fine:
        raise typer.Exit(REJECTED)
