"""Make torchvision.npz: what torchvision's transforms, on PIL images and tensors, and fastai's make of an image.

Run it where torchvision 0.29 and fastai 2.8 are installed:

    python tests/unit/preprocessing/make_torchvision.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from fastai.vision.all import PILImage, Resize, ResizeMethod
from PIL import Image
from torchvision import models
from torchvision.transforms import v2

HERE = Path(__file__).parent
SIZES = {"down": (13, 9), "far-down": (5, 4), "up": (90, 80), "mixed": (20, 64)}
# One of each size, crop and filter among the documented transforms.
WEIGHTS = ("ResNet50_Weights.IMAGENET1K_V1", "ResNet50_Weights.IMAGENET1K_V2", "Inception_V3_Weights.IMAGENET1K_V1",
           "EfficientNet_B0_Weights.IMAGENET1K_V1", "EfficientNet_V2_L_Weights.IMAGENET1K_V1",
           "ConvNeXt_Tiny_Weights.IMAGENET1K_V1", "Swin_T_Weights.IMAGENET1K_V1",
           "ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1")  # fmt: skip
STEP = 29


def main() -> None:
    image = Image.fromarray(np.load(HERE / "references.npz")["picture"])
    pixels = v2.functional.pil_to_tensor(image)
    arrays = {}
    for name, (width, height) in SIZES.items():
        arrays[f"pil-{name}"] = np.asarray(v2.Resize((height, width))(image))
        for antialias in (True, False):
            resize = v2.Resize((height, width), antialias=antialias)
            arrays[f"tensor-{'antialias' if antialias else 'plain'}-{name}"] = resize(pixels).permute(1, 2, 0).numpy()
    arrays["squeezed-crop"] = np.asarray(v2.Compose([v2.Resize((36, 40)), v2.CenterCrop((21, 27))])(image))
    arrays["shortest-crop"] = np.asarray(v2.Compose([v2.Resize(30), v2.CenterCrop((21, 27))])(image))
    arrays["grey"] = v2.Grayscale()(pixels)[0].numpy()
    to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    normalize = v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    arrays["normalized"] = v2.Compose([*to_tensor, normalize])(image)[:, :9, :13].numpy()
    large = image.resize((301, 257), Image.Resampling.LANCZOS)
    for name in WEIGHTS:
        tensor = models.get_weight(name).transforms()(large)
        arrays[f"{name}/shape"] = np.array(tensor.shape)
        arrays[name] = tensor[:, ::STEP, ::STEP].numpy()
    for side in (16, 21, 60):
        # Validation: split_idx 1 takes the centre.
        arrays[f"fastai-crop-{side}"] = np.asarray(Resize(side)(PILImage(image), split_idx=1))
        arrays[f"fastai-squish-{side}"] = np.asarray(Resize(side, ResizeMethod.Squish)(PILImage(image), split_idx=1))
    arrays["fastai-crop-wide"] = np.asarray(Resize((12, 31))(PILImage(image), split_idx=1))
    np.savez_compressed(HERE / "torchvision.npz", **arrays)


if __name__ == "__main__":
    main()
