"""From trained weights to what ships: the ONNX graph, its figures through the serving path, and the card."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

import loupe  # noqa: F401 - before ONNX Runtime: this turns its telemetry off
import numpy as np
import onnxruntime
from draw import GOLDEN
from pictures import SPEC, Photo, served

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from network import HairNet

VERSION = "1.0.0"
GRAPH = "model.onnx"
OUTPUT = "logit"
OPSET = 18
MAX_BYTES = 1_000_000
BINS = 10
CLOSE = 1e-4
GOLDEN_MARGIN = 0.8
GOLDEN_TOLERANCE = 0.02
Z_95 = 1.959964


def export(network: HairNet, path: Path, samples: np.ndarray) -> None:
    """Write the graph with batch normalisation folded, and compare it with torch on ``samples (N, 3, H, W)``.

    Raises
    ------
    SystemExit
        If the file is too large, or its answers are not torch's, or depend on the batch.
    """
    import onnx
    import torch
    from network import folded

    plain = folded(network).to(memory_format=torch.contiguous_format)
    example = torch.zeros(2, 3, SPEC.height, SPEC.width)
    torch.onnx.export(
        plain,
        (example,),
        str(path),
        input_names=[SPEC.name],
        output_names=[OUTPUT],
        dynamic_axes={SPEC.name: {0: "batch"}, OUTPUT: {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(path)
    model.producer_version = ""
    model.doc_string = "Hair type: the logit of 'straight' against 'curly'. See card.json."
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    if path.stat().st_size > MAX_BYTES:
        raise SystemExit(f"{path.name} has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are allowed.")

    run = session(path)
    network.eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(samples)).numpy()
    together = run(samples)
    singles = np.concatenate([run(sample[None]) for sample in samples])
    for name, other in (("torch", expected), ("one picture at a time", singles)):
        difference = float(np.abs(together - other).max())
        if difference > CLOSE:
            raise SystemExit(f"The exported graph differs from {name} by {difference:.1e}; at most {CLOSE} is allowed.")


def session(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from ``(N, 3, H, W)`` to logits ``(N, 1)``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    loaded = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda batch: np.asarray(loaded.run([OUTPUT], {SPEC.name: batch})[0])


def wilson(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share, by Wilson's score."""
    share = right / count
    scale = 1 + Z_95**2 / count
    middle = (share + Z_95**2 / (2 * count)) / scale
    half = Z_95 * math.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2)) / scale
    return middle - half, middle + half


def probability(logits: np.ndarray, temperature: float | np.ndarray = 1.0) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64) / temperature)))


def calibration_error(of_straight: np.ndarray, targets: np.ndarray) -> float:
    """Expected calibration error of the winning label's probability, in ten equal bins from 0.5 to 1."""
    confidence = np.maximum(of_straight, 1 - of_straight)
    right = (of_straight > 0.5) == (targets > 0.5)
    bins = np.minimum(((confidence - 0.5) * 2 * BINS).astype(int), BINS - 1)
    gaps = (abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(BINS))
    return float(sum(gaps) / len(targets))


def log_loss(of_straight: np.ndarray, targets: np.ndarray) -> float:
    kept = np.clip(np.where(targets > 0.5, of_straight, 1 - of_straight), 1e-12, 1)
    return float(-np.log(kept).mean())


def best_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The divisor of the logits with the least log loss, among 0.25 to 4 in steps of 2 %."""
    candidates = [round(0.25 * 1.02**step, 4) for step in range(141)]
    return min(candidates, key=lambda value: log_loss(probability(logits, value), targets))


def pooled_temperature(tried: np.ndarray, targets: np.ndarray) -> float:
    return best_temperature(tried.ravel(), np.tile(targets, len(tried)))


def evaluate(
    graph: Path, held_out: list[Photo], labels: tuple[str, ...], tried: np.ndarray
) -> tuple[float, dict[str, Any]]:
    """Measure the graph through the endpoint's own reading of the files; return the temperature and the figures.

    The temperature is the best one for the logits of all seeds together, ``tried (seeds, photos)``: the seed that was
    chosen for being right about these photos would ask for more confidence than it deserves on others.
    """
    run = session(graph)
    contents = [item.path.read_bytes() for item in held_out]
    targets = np.array([item.target for item in held_out])

    def logits(jpeg_draft: float) -> np.ndarray:
        spec = SPEC._replace(jpeg_draft=jpeg_draft)
        return np.concatenate([run(served(content, spec)[None]).ravel() for content in contents])

    raw, in_full = logits(SPEC.jpeg_draft), logits(0)
    temperature = pooled_temperature(tried, targets)
    everyone = np.arange(len(targets))
    # Each photo with the temperature that all others ask for: what the fitted one is worth on photos it has not seen.
    left_out = np.array([pooled_temperature(tried[:, everyone != i], targets[everyone != i]) for i in everyone])
    answers = raw > 0
    right = int((answers == targets).sum())
    low, high = wilson(right, len(targets))
    confusion = [[int(((targets == row) & (answers == column)).sum()) for column in (0, 1)] for row in (0, 1)]
    figures: dict[str, Any] = {
        "dataset": "hair-type-dataset, part of the test split, without photos that also stand in its training split",
        "size": len(targets),
        "accuracy": round(right / len(targets), 4),
        "accuracy_interval_95": [round(low, 4), round(high, 4)],
        "interval": "Wilson",
        "confusion": confusion,
        "confusion_layout": f"rows: true {labels[0]}, {labels[1]}; columns: predicted {labels[0]}, {labels[1]}",
        "recall": {label: round(confusion[i][i] / sum(confusion[i]), 4) for i, label in enumerate(labels)},
        "ece": round(calibration_error(probability(raw, temperature), targets), 4),
        "ece_bins": f"{BINS} equal bins of the winning label's probability, from 0.5 to 1",
        "ece_without_temperature": round(calibration_error(probability(raw), targets), 4),
        "ece_temperature_left_out": round(calibration_error(probability(raw, left_out), targets), 4),
        "log_loss": round(log_loss(probability(raw, temperature), targets), 4),
        "log_loss_without_temperature": round(log_loss(probability(raw), targets), 4),
        "log_loss_temperature_left_out": round(log_loss(probability(raw, left_out), targets), 4),
        "jpeg_draft_off": {
            "accuracy": round(float(((in_full > 0) == targets).mean()), 4),
            "largest_probability_shift": round(
                float(np.abs(probability(in_full, temperature) - probability(raw, temperature)).max()), 4
            ),
        },
        "measured_through": "model.onnx in ONNX Runtime, files read by loupe.image.decode and loupe.tensor.to_tensor",
        "notes": (
            "Photos only; no drawing joined the training. The same photos chose among the seeds, and all seeds' "
            "answers on them gave the temperature: the figures are somewhat better than on new photos. "
            "*_temperature_left_out gives each photo the temperature that the others ask for."
        ),
    }
    return temperature, figures


def golden_cases(folder: Path, temperature: float, *, strict: bool) -> list[dict[str, Any]]:
    """Answer every golden picture, with and without scaled JPEG decoding; ``strict`` refuses a poor answer.

    Raises
    ------
    SystemExit
        If a label is wrong or its margin small.
    """
    run = session(folder / GRAPH)
    cases = []
    for name, scene in GOLDEN.items():
        content = (folder / "golden" / name).read_bytes()
        found = []
        for jpeg_draft in (SPEC.jpeg_draft, 0):
            item = served(content, SPEC._replace(jpeg_draft=jpeg_draft))
            straight = float(probability(run(item[None]), temperature).item())
            found.append(straight if scene.label == "straight" else 1 - straight)
        if strict and min(found) < GOLDEN_MARGIN:
            raise SystemExit(f"golden/{name}: {scene.label} has {min(found):.3f}; at least {GOLDEN_MARGIN} is wanted.")
        cases.append(
            {
                "image": f"golden/{name}",
                "label": scene.label,
                "probability": round(found[0], 4),
                "tolerance": GOLDEN_TOLERANCE,
            }
        )
    return cases


def write_card(
    folder: Path,
    held_out: list[Photo],
    labels: tuple[str, ...],
    training: dict[str, Any],
    tried: np.ndarray,
    *,
    strict: bool = True,
) -> dict[str, Any]:
    """Measure ``folder``'s graph, write its ``card.json`` and return it."""
    import torch

    content = (folder / GRAPH).read_bytes()
    temperature, figures = evaluate(folder / GRAPH, held_out, labels, tried)
    card = {
        "$schema": "../card.schema.json",
        "name": "hair-type",
        "version": VERSION,
        "variant": "fp32",
        "description": "Tells curly from straight hair in a photo of one person.",
        "graph": GRAPH,
        "files": [{"path": GRAPH, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}],
        "input": {
            "name": SPEC.name,
            "width": SPEC.width,
            "height": SPEC.height,
            "layout": SPEC.layout,
            "dtype": SPEC.dtype,
            "color": SPEC.color,
            "resize": {"filter": SPEC.resize.filter, "fit": SPEC.resize.fit},
            "jpeg_draft": SPEC.jpeg_draft,
            "icc": SPEC.icc,
            "scale": f"1/{round(1 / SPEC.scale)}",
            "mean": list(SPEC.mean),
            "std": list(SPEC.std),
        },
        "output": {"name": OUTPUT, "kind": "logit", "labels": list(labels), "temperature": temperature},
        "golden": golden_cases(folder, temperature, strict=strict),
        "evaluation": figures,
        "training": {**training, "torch": torch.__version__, "opset": OPSET},
        "provenance": {
            "weights": "Trained from scratch by models/hair-type/train.py; no pretrained weights.",
            "photos": "Kaggle kavyasreeb/hair-type-dataset, as used in the ML Zoomcamp 2025 homework on deployment.",
            "photos_url": "https://www.kaggle.com/datasets/kavyasreeb/hair-type-dataset",
            "photos_license": "None is stated. The photos were collected from the web and are not in this project.",
            "drawings": "The golden pictures: by draw.py, the project's own. None joined the training.",
        },
        "license": {
            "spdx": "MIT",
            "notes": (
                "MIT covers what the project made: code, drawings, and the weights as far as it holds rights in them. "
                "The photos that the weights were trained on carry no stated licence; whether that limits the use of "
                "the weights is unsettled and depends on the country. Retrain on photos of your own where it matters."
            ),
        },
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return card
