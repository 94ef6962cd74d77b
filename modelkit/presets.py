"""Common pixel normalisations, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """``(pixel * scale - mean) / std``; one number in ``mean`` or ``std`` counts for every channel."""

    scale: float | str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    color: str

    def fields(self, channels: int) -> dict[str, Any]:
        """Return the card's keys for this many channels; ValueError if the preset is for colour only."""
        if len(self.mean) not in (1, channels):
            raise ValueError(f"is for {len(self.mean)} channels, but the input has {channels}")
        repeat = channels if len(self.mean) == 1 else 1
        return {
            "color": "L" if channels == 1 else self.color,
            "scale": self.scale,
            "mean": list(self.mean) * repeat,
            "std": list(self.std) * repeat,
        }


PRESETS = {
    # torchvision's models and most of PyTorch.
    "imagenet": Preset("1/255", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "RGB"),
    # Pixels from 0 to 1: ToTensor() alone, Keras rescale=1/255.
    "unit": Preset("1/255", (0.0,), (1.0,), "RGB"),
    # Pixels from -1 to 1: Keras MobileNet, Inception, Xception.
    "minus-one-one": Preset("1/255", (0.5,), (0.5,), "RGB"),
    # Pixels from 0 to 255: EfficientNet of Keras, uint8 inputs.
    "raw": Preset(1, (0.0,), (1.0,), "RGB"),
    # Keras VGG and ResNet, Caffe.
    "caffe": Preset(1, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0), "BGR"),
}
