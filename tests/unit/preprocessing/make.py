"""Make references.npz: what OpenCV, Albumentations, and the documented arithmetic of others make of one image.

Run it where Albumentations 2.0, opencv-python-headless 5.0, NumPy and Pillow are installed, which the project's own
environment does not need:

    python tests/unit/preprocessing/make.py

TensorFlow and PyTorch are too large to install for this. `tf.image.resize` (method bilinear, antialias=False; half
pixel centers, 'tf.compat.v1.image.resize_bilinear half_pixel_centers=True') and `torch.nn.functional.interpolate`
(mode='bilinear', align_corners=False, antialias=False) document the arithmetic of `half_pixel` below, which is also
`cv2.resize` of float32 arrays; `cv2.resize` of uint8 arrays has weights of 11 bits.
"""

from __future__ import annotations

from pathlib import Path

import albumentations as augment
import cv2
import numpy as np
from PIL import Image

SIZES = {"down": (13, 9), "far-down": (5, 4), "up": (90, 80), "mixed": (20, 64), "thin": (1, 30)}


def drawing() -> np.ndarray:
    """61 x 47 RGB pixels with edges and noise, where antialiasing changes much."""
    random = np.random.default_rng(20)
    y, x = np.mgrid[0:47, 0:61]
    stripes = np.where((x // 2 + y // 3) % 2, 230, 20)
    channels = [stripes, 255 * x // 61, random.integers(0, 256, (47, 61))]
    return np.stack(channels, -1).astype(np.uint8)


def half_pixel(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between the four nearest pixels, centers at half coordinates, in float64."""
    result = image.astype(np.float64)
    for axis, count in ((0, size[1]), (1, size[0])):
        full = image.shape[axis]
        place = np.clip((np.arange(count) + 0.5) * full / count - 0.5, 0, full - 1)
        before = np.floor(place).astype(int)
        after = np.minimum(before + 1, full - 1)
        shape = [1, 1, 1]
        shape[axis] = count
        weight = (place - before).reshape(shape)
        result = np.take(result, before, axis) * (1 - weight) + np.take(result, after, axis) * weight
    return result


def letterbox(image: np.ndarray, side: int, color: int, *, center: bool) -> np.ndarray:
    """Ultralytics' LetterBox: ratio, rounded size, INTER_LINEAR, margins rounded with 0.1 taken off and added."""
    height, width = image.shape[:2]
    ratio = min(side / height, side / width)
    new = (round(width * ratio), round(height * ratio))
    across, down = side - new[0], side - new[1]
    if center:
        across, down = across / 2, down / 2
    top, bottom = (round(down - 0.1), round(down + 0.1)) if center else (0, down)
    left, right = (round(across - 0.1), round(across + 0.1)) if center else (0, across)
    resized = cv2.resize(image, new, interpolation=cv2.INTER_LINEAR)
    return cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(color,) * 3)


def main() -> None:
    image = drawing()
    arrays = {"picture": image}
    for name, size in SIZES.items():
        arrays[f"cv2-{name}"] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        arrays[f"float-{name}"] = half_pixel(image, size).astype(np.float32)
        of_floats = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        assert np.abs(arrays[f"float-{name}"] - of_floats).max() < 1e-3, name
    arrays["letterbox-center"] = letterbox(image, 32, 114, center=True)
    arrays["letterbox-top-left"] = letterbox(image, 32, 114, center=False)
    # Resize 40 x 36, then the centre of 27 x 21: Albumentations and Keras cut at (40 - 27) // 2 and (36 - 21) // 2.
    squeezed = cv2.resize(image, (40, 36), interpolation=cv2.INTER_LINEAR)
    arrays["cv2-center"] = squeezed[7 : 7 + 21, 6 : 6 + 27]
    resize_crop = augment.Compose([augment.Resize(36, 40), augment.CenterCrop(21, 27)])
    arrays["albumentations-center"] = resize_crop(image=image)["image"]
    # 61 x 47 to 32 x 25: no fraction of the longer side that rounding and cutting treat differently.
    shortest_crop = augment.Compose([augment.SmallestMaxSize(25), augment.CenterCrop(21, 21)])
    arrays["albumentations-shortest"] = shortest_crop(image=image)["image"]
    normalize = augment.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    arrays["albumentations-normalize"] = normalize(image=image[:9, :13])["image"].astype(np.float32)
    arrays["grey-cv2"] = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    arrays["grey-pillow"] = np.asarray(Image.fromarray(image).convert("L"))
    arrays["grey-average"] = image.mean(axis=-1).astype(np.float32)
    np.savez_compressed(Path(__file__).with_name("references.npz"), **arrays)


if __name__ == "__main__":
    main()
