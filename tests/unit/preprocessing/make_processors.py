"""Make processors.npz and processors-5.npz: what transformers' own image processors make of two images.

By configs/ and by defaults. Run it where transformers 4.46, NumPy and Pillow are installed, for processors.npz (slow
processors, which need no PyTorch), and where transformers 5.24 and torchvision 0.29 are, for processors-5.npz (those on
torchvision):

    python tests/unit/preprocessing/make_processors.py

Of each tensor every 29th row and column is kept, and its shape.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import transformers
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from images import texture  # noqa: E402

SIZES = {"wide": (301, 257), "tall": (199, 333)}
STEP = 29
SLOW = transformers.__version__.startswith("4.")
# Classes whose defaults are a reference: their config names the type alone.
DEFAULTS = ("ViT", "Pvt", "Siglip", "Beit", "DeiT", "CLIP", "Bit", "Levit", "PoolFormer", "MobileNetV1", "MobileNetV2",
            "ConvNext", "EfficientNet")  # fmt: skip


def processor_of(config: dict) -> object:
    name = config.get("image_processor_type") or config["feature_extractor_type"]
    name = name.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    return getattr(transformers, name).from_dict(config)


def main() -> None:
    configs = {path.stem: json.loads(path.read_text()) for path in (HERE / "configs").glob("[!r]*.json")}
    configs |= {f"default-{name}": {"image_processor_type": f"{name}ImageProcessor"} for name in DEFAULTS}
    # Its default resizes to 224 and crops 256, which pads with zeros; the published ones resize to 288.
    configs["default-MobileViT"] = {"image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 288}}
    arrays = {}
    for name, config in sorted(configs.items()):
        for kind, size in SIZES.items():
            image = Image.fromarray(texture(size))
            tensor = np.asarray(
                processor_of(config)(image, return_tensors="np" if SLOW else "pt")["pixel_values"][0], np.float32
            )
            arrays[f"{name}/{kind}/shape"] = np.array(tensor.shape)
            arrays[f"{name}/{kind}"] = tensor[:, ::STEP, ::STEP]
    np.savez_compressed(HERE / ("processors.npz" if SLOW else "processors-5.npz"), **arrays)


if __name__ == "__main__":
    main()
