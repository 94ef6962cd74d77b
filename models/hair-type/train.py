"""Train both hair-type models, cross-validate them, export them to ONNX, measure them and write their cards.

    python3.11 -m venv .local/train-venv
    .local/train-venv/bin/pip install -r models/hair-type/requirements-train.txt
    PYTHONPATH=function:. .local/train-venv/bin/python models/hair-type/train.py --data ../shared/data/hair

Steps: activations of the frozen blocks, cross-validation, the final models, cards. Each keeps its results in ``--work``
under a name that holds a digest of all that made them: an interrupted run goes on, a second run trains nothing.
The validation photos are read by the last step only, once the final models are there.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import release
import torch
from crossval import cross_validate, final_networks, split, train_fold
from photos import list_photos
from recipes import CANVAS, FOLDS, LARGE, SMALL, VIEW_SEED, VIEW_SIDE, VIEWS, Recipe
from views import activations, read
from work import ACTIVATIONS, Work

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def activations_path(work: Work, recipe: Recipe) -> Path:
    made_by = [recipe.side, recipe.frozen, VIEW_SIDE, VIEWS, VIEW_SEED, CANVAS]
    return work.path(f"{recipe.name}-activations.npy", made_by, ACTIVATIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train hair-type and hair-type-large; write models and cards.")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/hair", help="holds train/, validation/")
    parser.add_argument("--output", type=Path, default=HERE.parent, help="the folder of the models' folders")
    parser.add_argument("--work", type=Path, default=ROOT / ".local/hair-type", help="keeps intermediate results")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument(
        "--only-folds", type=int, nargs="+", choices=range(FOLDS), metavar="N",
        help="train these folds and stop; several processes may share the folds",
    )  # fmt: skip
    parser.add_argument("--no-validation", action="store_true", help="stop before the validation photos are read")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    options.work.mkdir(parents=True, exist_ok=True)
    data = read(list_photos(options.data / "train"))
    digest = hashlib.sha256(data.pixels.tobytes() + data.targets.tobytes()).hexdigest()
    work = Work(options.work, digest)
    print(f"{len(data.targets)} photos to train on", flush=True)
    computed = {recipe.name: activations(data, recipe, activations_path(work, recipe)) for recipe in (SMALL, LARGE)}
    if options.only_folds:
        fold, _ = split(data)
        for number in options.only_folds:
            train_fold(data, computed, work, fold, number)
        return
    held_out = cross_validate(data, computed, work)
    networks = final_networks(data, computed, work)
    if options.no_validation:
        release.show_cross_validation(held_out, data)
        return
    release.publish(networks, held_out, data, list_photos(options.data / "validation"), options.output)


if __name__ == "__main__":
    main()
