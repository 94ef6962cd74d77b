"""Cross-validation of both models: teacher and student of a fold never meet the fold's photos, nor their duplicates."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from backbone import Network, Top
from folds import assign_folds, groups_of, hash_pairs, near_duplicates
from learn import Examples, answers, train
from recipes import FOLD_SEED, FOLDS, LARGE, SMALL, TRAINING_SEED, Recipe

if TYPE_CHECKING:
    from views import Photos
    from work import Work


@dataclass(frozen=True)
class HeldOut:
    """Logits of every photo by the models that were not trained on it, ``(N,)`` for each recipe's name."""

    logits: dict[str, np.ndarray]
    fold: np.ndarray
    groups: int


def split(photos: Photos) -> tuple[np.ndarray, int]:
    """Return the fold of each photo and the number of groups of near-duplicates."""
    hashes = hash_pairs(photos.pixels)
    groups = groups_of(near_duplicates(hashes, hashes))
    return assign_folds(groups, photos.targets, FOLD_SEED, FOLDS), int(groups.max()) + 1


def _numbers(recipe: Recipe) -> dict[str, Any]:
    """Return the parts of a recipe that the weights depend on: all but its names and limits."""
    return {
        key: value for key, value in asdict(recipe).items() if isinstance(value, (int, float)) and key != "max_bytes"
    }


def trained(
    recipe: Recipe,
    photos: Photos,
    activations: dict[str, np.ndarray],
    rows: np.ndarray,
    seed: int,
    work: Work,
) -> Top:
    """Return ``recipe``'s model for the photos ``rows``: trained, after its teacher, or taken from ``work``."""
    made_by = [_numbers(recipe), _numbers(LARGE) if recipe.teacher_share else None, rows.tolist(), seed]
    path = work.path(f"{recipe.name}.pt", made_by)
    if path.exists():
        top = Top(recipe)
        top.load_state_dict(torch.load(path, weights_only=True))
        return top
    taught = None
    if recipe.teacher_share:
        teacher = trained(LARGE, photos, activations, rows, seed, work)
        taught = np.full(activations[LARGE.name].shape[:2], np.nan, np.float32)
        taught[:, rows] = answers(teacher, activations[LARGE.name], rows)
    top = train(Examples(activations[recipe.name], photos.targets, taught), rows, recipe, seed)
    torch.save(top.state_dict(), path)
    return top


def train_fold(
    photos: Photos, activations: dict[str, np.ndarray], work: Work, fold: np.ndarray, number: int
) -> dict[str, np.ndarray]:
    """Return both models' logits of the photos of one fold, ``(n,)`` by name."""
    rows, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
    logits = {}
    for recipe in (LARGE, SMALL):
        top = trained(recipe, photos, activations, rows, TRAINING_SEED + number, work)
        logits[recipe.name] = answers(top, activations[recipe.name][:1], held_out)[0]
        right = ((logits[recipe.name] > 0) == (photos.targets[held_out] > 0.5)).mean()
        print(f"fold {number + 1} of {FOLDS}: {recipe.name} {right:.4f}", flush=True)
    return logits


def cross_validate(photos: Photos, activations: dict[str, np.ndarray], work: Work) -> HeldOut:
    """Train every fold that ``work`` does not have yet."""
    fold, groups = split(photos)
    logits = {recipe.name: np.empty(len(photos.targets), np.float32) for recipe in (LARGE, SMALL)}
    for number in range(FOLDS):
        for name, row in train_fold(photos, activations, work, fold, number).items():
            logits[name][fold == number] = row
    return HeldOut(logits, fold, groups)


def final_networks(photos: Photos, activations: dict[str, np.ndarray], work: Work) -> dict[str, Network]:
    """Train both models on all photos, or take their weights from ``work``."""
    rows = np.arange(len(photos.targets))
    tops = {recipe: trained(recipe, photos, activations, rows, TRAINING_SEED, work) for recipe in (LARGE, SMALL)}
    return {recipe.name: Network(recipe, top).eval() for recipe, top in tops.items()}
