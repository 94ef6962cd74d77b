"""The images that every export is asked about, and the answers of its framework beside the export.

Runs in each framework's environment, so it imports NumPy and Pillow alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

LABELS = ("ash", "beech", "cedar", "elm", "fir")
# Landscape, portrait, and nearly square: crops and stretches differ. None is of a model's own size.
_SIZES = ((301, 257), (199, 333), (256, 250), (480, 300))


def folder() -> Path:
    """Return the folder that the command line names, made empty or new, with the images in it."""
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(_SIZES):
        _image(number, size).save(place / f"image-{number}.png")
    return place


def images(place: Path) -> list[Path]:
    return sorted(place.glob("image-*.png"))


def _image(number: int, size: tuple[int, int]) -> Image.Image:
    """Stripes, a ramp and noise: antialiasing, cropping and channel order change the answer."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    stripes = np.where((x // (2 + number) + y // 3) % 2, 230, 20)
    ramp = (255 * x // size[0] + 80 * number) % 256
    noise = random.integers(0, 256, size[::-1])
    channels = np.roll(np.stack([stripes, ramp, noise]), number, axis=0)
    return Image.fromarray(channels.transpose(1, 2, 0).astype(np.uint8))


def spread(logits: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the gain and the mean that give an untrained network's logits ``(images, labels)`` a spread of 2.

    Untrained networks answer nearly the same for every image, and such an answer proves nothing: the last layer is
    scaled to ``gain * (W x + b - mean)``.
    """
    mean = logits.mean(axis=0)
    return 2.0 / float((logits - mean).std()), mean


def write(
    place: Path,
    options: Sequence[str],
    answer: Callable[[Path], Sequence[float]],
    labels: Sequence[str] = LABELS,
    graph: str = "model.onnx",
) -> None:
    """Write ``export.json``: the options of `modelkit add` and each image's probabilities by the framework itself."""
    answers = {path.name: [float(value) for value in answer(path)] for path in images(place)}
    value = {
        "graph": graph,
        "options": list(options),
        "labels": list(labels),
        "probabilities": answers,
        "versions": versions(),
    }
    (place / "export.json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of the frameworks that this process has loaded."""
    names = ("torch", "torchvision", "timm", "transformers", "keras", "tensorflow", "tf2onnx", "sklearn", "skl2onnx",
             "ultralytics", "fastai", "onnx", "onnxscript", "onnxruntime")  # fmt: skip
    libraries = {name: getattr(sys.modules[name], "__version__", "") for name in names if name in sys.modules}
    return {"python": sys.version.split()[0]} | libraries
