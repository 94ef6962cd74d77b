"""config.json of timm, with ``pretrained_cfg`` (or its keys at the top, as in files of before 2023)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from modelkit.sources.source import NotExpressibleError, Source, three

if TYPE_CHECKING:
    from pathlib import Path

_FILTERS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def is_timm(raw: dict[str, Any]) -> bool:
    """Whether a config.json is timm's: transformers' has a model_type."""
    return isinstance(raw.get("pretrained_cfg"), dict) or ("architecture" in raw and "input_size" in raw)


def read_timm(path: Path, raw: dict[str, Any], graph_size: tuple[int | None, int | None]) -> Source:
    """Read what `timm.data.create_transform` does for evaluation; ``graph_size`` chooses between train and test size.

    Raises
    ------
    NotExpressibleError
        If the transform cannot be a card.
    """
    config = raw.get("pretrained_cfg") if isinstance(raw.get("pretrained_cfg"), dict) else raw
    assert isinstance(config, dict)  # noqa: S101 (narrows the type)
    channels, width, height = _size(config.get("input_size"), path.name, [3, 224, 224])
    percentage = config.get("crop_pct") or 0.875
    test = config.get("test_input_size")
    if test and graph_size != (width, height) and _size(test, path.name, test)[1:] == graph_size:
        channels, width, height = _size(test, path.name, test)
        percentage = config.get("test_crop_pct") or percentage
    if channels != 3:
        raise NotExpressibleError(f"{path.name}: input_size has {channels} channels; timm's transforms of 3 are known.")
    if not isinstance(percentage, (int, float)) or not 0.01 <= percentage <= 1:
        raise NotExpressibleError(f"{path.name}: crop_pct {str(percentage)[:40]} is not between 0.01 and 1.")
    interpolation = config.get("interpolation") or "bicubic"
    if interpolation == "random":
        interpolation = "bilinear"
    if interpolation not in _FILTERS:
        raise NotExpressibleError(f"{path.name}: interpolation {str(interpolation)[:40]!r} is not a filter of Pillow.")
    answers: dict[str, Any] = {
        "resize": interpolation,
        "antialias": True,
        "size": (width, height),
        "scale": "1/255",
        "mean": three(config.get("mean") or _MEAN, path.name, "mean"),
        "std": three(config.get("std") or _STD, path.name, "std"),
        "color": "RGB",
    }
    answers |= _crop(str(config.get("crop_mode") or "center"), (width, height), float(percentage), path.name)
    names = raw.get("label_names") or config.get("label_names")
    notes = []
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        answers["labels"] = tuple(names)
    else:
        notes.append("no label_names: timm's models of ImageNet leave them out")
    return Source(path.name, f"timm {raw.get('architecture', 'pretrained_cfg')}, evaluation", answers, tuple(notes))


def _crop(mode: str, size: tuple[int, int], percentage: float, file: str) -> dict[str, Any]:
    before = (math.floor(size[0] / percentage), math.floor(size[1] / percentage))
    if mode == "squash":
        if before == size:
            return {"fit": "stretch"}
        return {"fit": "crop", "resize_to": before, "crop_offset": "round"}
    if mode != "center":
        raise NotExpressibleError(f"{file}: crop_mode {mode[:40]!r} pads and crops; a card does one of both.")
    if size[0] != size[1]:
        raise NotExpressibleError(
            f"{file}: crop_mode 'center' for {size[0]}x{size[1]} resizes by timm's ResizeKeepRatio, which no card "
            "does: only squares are."
        )
    return {"fit": "crop", "shortest": before[0], "crop_offset": "round"}


def _size(value: Any, file: str, default: list[int]) -> tuple[int, int, int]:
    """Return channels, width and height of timm's [channels, height, width]."""
    sides = value or default
    if not isinstance(sides, list) or len(sides) != 3 or not all(type(side) is int and side > 0 for side in sides):
        raise NotExpressibleError(f"{file}: input_size {str(value)[:60]} is not [channels, height, width].")
    return sides[0], sides[2], sides[1]
