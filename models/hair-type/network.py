"""The network: a depthwise-separable CNN of 134,305 parameters (0.5 MB in float32), one logit out."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STEM = 24
# (channels, stride): 200 px -> 100 by the stem -> 50 -> 25 -> 13.
BLOCKS = ((64, 2), (64, 1), (96, 2), (96, 1), (96, 1), (192, 2), (192, 1), (192, 1))
DROPOUT = 0.2


class Separable(nn.Module):
    """A depthwise 3x3 and a pointwise convolution, with a shortcut where the shape stays.

    Plain ReLU, because it folds into quantised convolutions.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in, bias=False)
        self.depthwise_norm: nn.Module = nn.BatchNorm2d(channels_in)
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.pointwise_norm: nn.Module = nn.BatchNorm2d(channels_out)
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.depthwise_norm(self.depthwise(x)))
        y = self.pointwise_norm(self.pointwise(y))
        return torch.relu(x + y if self.shortcut else y)


class HairNet(nn.Module):
    """``(N, 3, 200, 200)`` in, ``(N, 1)`` out: the logit of ``straight``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self.stem_norm: nn.Module = nn.BatchNorm2d(STEM)
        widths = (STEM, *(channels for channels, _ in BLOCKS))
        self.blocks = nn.Sequential(
            *(Separable(before, channels, stride) for before, (channels, stride) in zip(widths, BLOCKS, strict=False))
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(widths[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem_norm(self.stem(x)))
        logit: Tensor = self.head(self.blocks(x))
        return logit


def folded(network: HairNet) -> HairNet:
    """Return a copy in evaluation mode with every batch normalisation folded into the convolution before it."""
    plain = copy.deepcopy(network).eval()
    plain.stem, plain.stem_norm = fuse_conv_bn_eval(plain.stem, plain.stem_norm), nn.Identity()
    for block in plain.blocks:
        block.depthwise = fuse_conv_bn_eval(block.depthwise, block.depthwise_norm)
        block.pointwise = fuse_conv_bn_eval(block.pointwise, block.pointwise_norm)
        block.depthwise_norm, block.pointwise_norm = nn.Identity(), nn.Identity()
    return plain
