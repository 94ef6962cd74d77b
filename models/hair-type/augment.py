"""Augmented views of photos, on tensors of values from 0 to 1."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

ROTATION_DEGREES = 15.0
ZOOM = (0.72, 1.3)
ASPECT = 1.12
SHIFT = 0.10
BRIGHTNESS = 0.30
CONTRAST = 0.30
SATURATION = 0.40
GREY_SHARE = 0.15
SOFT_SHARE = 0.15


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.empty(count).uniform_(low, high)


def _geometry(pixels: Tensor, side: int) -> Tensor:
    """Mirror, rotate, zoom, stretch and shift, in one bilinear sampling from the canvas down to ``side``."""
    count = len(pixels)
    angle = _uniform(count, -ROTATION_DEGREES, ROTATION_DEGREES) * (math.pi / 180)
    zoom = torch.exp(_uniform(count, math.log(ZOOM[0]), math.log(ZOOM[1])))
    aspect = torch.exp(_uniform(count, -math.log(ASPECT), math.log(ASPECT)))
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    across, down = aspect / zoom, 1 / (aspect * zoom)
    shift = _uniform(2 * count, -SHIFT, SHIFT).view(2, count)
    theta = torch.stack(
        [
            torch.stack([mirror * cos * across, -sin * down, shift[0]], 1),
            torch.stack([mirror * sin * across, cos * down, shift[1]], 1),
        ],
        1,
    )
    grid = affine_grid(theta, [count, 3, side, side], align_corners=False)
    return grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _colour(pixels: Tensor) -> Tensor:
    count = len(pixels)

    def factor(spread: float) -> Tensor:
        return _uniform(count, 1 - spread, 1 + spread).view(-1, 1, 1, 1)

    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    pixels = pixels * factor(BRIGHTNESS)
    middle = pixels.mean((1, 2, 3), keepdim=True)
    pixels = (pixels - middle) * factor(CONTRAST) + middle
    grey = (pixels * luma).sum(1, keepdim=True)
    colourfulness = factor(SATURATION) * (torch.rand(count) >= GREY_SHARE).float().view(-1, 1, 1, 1)
    return ((pixels - grey) * colourfulness + grey).clamp(0, 1)


def _soften(pixels: Tensor) -> Tensor:
    """Blur some photos, as small or heavily compressed photos are."""
    selected = torch.rand(len(pixels)) < SOFT_SHARE
    if selected.any():
        side = pixels.shape[-1]
        smaller = int(torch.randint(side // 2, int(side * 0.85), ()))
        small = interpolate(pixels[selected], smaller, mode="bilinear", antialias=True, align_corners=False)
        pixels[selected] = interpolate(small, side, mode="bilinear", align_corners=False)
    return pixels


def augmented(pixels: Tensor, side: int) -> Tensor:
    """``(N, 3, canvas, canvas)`` to ``(N, 3, side, side)``, with random parameters for each photo."""
    return _soften(_colour(_geometry(pixels, side)))
