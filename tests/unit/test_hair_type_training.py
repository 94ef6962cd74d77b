"""How the hair-type models are judged: folds without near-duplicates, figures, images without hair."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from training_scripts import importable, script


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Iterator[None]:
    with importable():
        yield


@pytest.fixture
def folds() -> ModuleType:
    return script("folds")


@pytest.fixture
def measures() -> ModuleType:
    return script("measures")


def _scene(seed: int, side: int = 200) -> np.ndarray[Any, Any]:
    """An image of large soft shapes, as photos have them."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC))


def _recompressed(pixels: np.ndarray[Any, Any], quality: int) -> np.ndarray[Any, Any]:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def test_near_duplicates_share_a_group_and_other_images_do_not(folds: ModuleType) -> None:
    original = _scene(1)
    images = [
        original,
        _recompressed(original, 30),
        np.ascontiguousarray(original[:, ::-1]),
        np.asarray(Image.fromarray(original).resize((90, 90))),
        (original * 0.8).astype(np.uint8),
        *(_scene(seed) for seed in range(2, 12)),
    ]
    hashes = folds.hash_pairs(images)
    groups = folds.groups_of(folds.near_duplicates(hashes, hashes))
    assert len(set(groups[:5].tolist())) == 1
    assert len(set(groups.tolist())) == 11


def test_groups_are_connected_components(folds: ModuleType) -> None:
    similar = np.eye(5, dtype=bool)
    similar[0, 3] = similar[3, 4] = True
    groups = folds.groups_of(similar).tolist()
    assert groups[0] == groups[3] == groups[4]
    assert len({groups[0], groups[1], groups[2]}) == 3


def test_folds_keep_groups_together_and_classes_balanced(folds: ModuleType) -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 150, 400)
    targets = (groups % 3 == 0).astype(np.float32)
    fold = folds.assign_folds(groups, targets, seed=1)
    assert all(len(set(fold[groups == group].tolist())) == 1 for group in set(groups.tolist()))
    for label in (0, 1):
        counts = np.bincount(fold[targets == label], minlength=5)
        assert counts.max() - counts.min() <= 2
    np.testing.assert_array_equal(fold, folds.assign_folds(groups, targets, seed=1))
    assert not np.array_equal(fold, folds.assign_folds(groups, targets, seed=2))


def test_temperature_recovers_the_scale_of_overconfident_logits(measures: ModuleType) -> None:
    rng = np.random.default_rng(0)
    calibrated = rng.normal(0, 2, 20_000)
    targets = (rng.random(20_000) < measures.probability(calibrated)).astype(np.float32)
    assert measures.best_temperature(3 * calibrated, targets) == pytest.approx(3, rel=0.05)
    assert measures.calibration_error(measures.probability(calibrated), targets) < 0.01
    assert measures.calibration_error(measures.probability(3 * calibrated), targets) > 0.05


def test_cross_validation_scores_each_fold_with_the_temperature_of_the_others(measures: ModuleType) -> None:
    """One fold of wildly overconfident mistakes may not cool its own probabilities."""
    fold = np.repeat(np.arange(4), 50)
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 200).astype(np.float32)
    logits = (2 * targets - 1) * rng.uniform(1, 4, 200)
    logits[fold == 3] *= -1
    temperature, figures = measures.cross_validation(logits, targets, fold, ("curly", "straight"))
    assert figures["fold_accuracies"] == [1.0, 1.0, 1.0, 0.0]
    assert figures["mean_accuracy"] == 0.75
    assert figures["standard_deviation"] == pytest.approx(0.5)
    assert figures["log_loss"] > measures.log_loss(measures.probability(logits, temperature), targets)


def test_quality_counts_confusion_by_true_label(measures: ModuleType) -> None:
    figures = measures.quality(
        np.array([-1.0, -1.0, 1.0, 2.0]), np.array([0, 0, 0, 1], np.float32), 1.0, ("curly", "straight")
    )
    assert figures["confusion"] == [[2, 1], [0, 1]]
    assert figures["accuracy"] == 0.75
    assert figures["recall"] == {"curly": pytest.approx(0.6667), "straight": 1.0}


def test_images_out_of_scope_are_the_same_every_time_and_differ_from_each_other() -> None:
    outside = script("outside")
    for kind in outside.KINDS:
        first, again = outside.images(kind, 4), outside.images(kind, 4)
        assert first == again
        assert len(set(first)) == 4


def test_confidence_reports_how_sure_the_model_is() -> None:
    outside = script("outside")
    figures = outside.confidence(lambda _: -4.0, 1.0, count=3)
    assert figures["documents"] == {"median_probability": 0.982, "share_sure": 1.0, "share_curly": 1.0}
