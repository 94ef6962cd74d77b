"""preprocessor_config.json or processor_config.json, and config.json, of Hugging Face transformers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from modelkit.sources.processors import BY_MODEL, CHANGED, FILTERS, PROCESSORS, PROCESSORS_5, REASONS, Processor
from modelkit.sources.source import NotExpressibleError, Source, read_object, scale_of, three

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("preprocessor_config.json", "processor_config.json")
_NAME = re.compile(r"(.+?)(ImageProcessor|FeatureExtractor)(Fast|Pil)?")
Pair = tuple[int, int]
# Releases from which on a plain name is on torchvision, and processors on torchvision cut crops as the others do.
_TORCHVISION_FROM, _FLOOR_FROM = (5, 0), (4, 57)


def read_processor(path: Path, model: dict[str, Any] | None) -> Source:
    """Read a processor's configuration; ``model`` is config.json, which names the architecture where this does not.

    Raises
    ------
    NotExpressibleError
        If no card gives the tensor of this processor.
    ModelkitError
        If the file is no such configuration.
    """
    raw = read_object(path)
    if isinstance(raw.get("image_processor"), dict):
        raw = raw["image_processor"]
    name, variant = _name(raw, model, path.name)
    version = _version(model)
    processor = (PROCESSORS_5 if version and version >= _TORCHVISION_FROM else PROCESSORS).get(name)
    if processor is None:
        reason = REASONS.get(name, "its arithmetic is not known here")
        raise NotExpressibleError(
            f"{path.name}: the processor {name} cannot be a card: {reason}. Known are {', '.join(sorted(PROCESSORS))}. "
            "Say it with flags (docs/preprocessing.md)."
        )
    if raw.get("do_resize", True) is False:
        raise NotExpressibleError(f"{path.name}: do_resize is false: the training code resized itself. Use flags.")
    omitted = [key for key in CHANGED.get(name, ()) if key not in raw]
    if omitted and version is None:
        old, new = (getattr(group[name], _DEFAULT[omitted[0]]) for group in (PROCESSORS, PROCESSORS_5))
        raise NotExpressibleError(
            f"{path.name} leaves out {' and '.join(omitted)} of {name}ImageProcessor, and transformers 4 and 5 have "
            f"different defaults ({omitted[0]}: {str(old).lower()} and {str(new).lower()}). Write training's value "
            "into it, or keep config.json with its transformers_version beside it."
        )
    fast = variant == "Fast" or (not variant and version is not None and version >= _TORCHVISION_FROM)
    rounded = fast and version is not None and version < _FLOOR_FROM
    answers = _geometry(name, processor, raw, path.name, crop_offset="round" if rounded else "floor")
    answers |= _pixels(name, processor, raw, path.name)
    kind = f"transformers {name}ImageProcessor, " + ("fast (torchvision)" if fast else "slow (PIL)")
    notes = []
    if version is None and not variant:
        notes.append("no transformers_version beside it (config.json): read as that of version 4")
    if fast and answers["fit"] == "crop" and not rounded:
        notes.append("before transformers 4.57 fast processors rounded an odd margin of the crop: --crop-offset round")
    return Source(path.name, kind, answers, tuple(notes))


# The field of `Processor` for a key that `CHANGED` names.
_DEFAULT = {"size": "size", "do_center_crop": "crops", "resample": "resample"}


def _version(model: dict[str, Any] | None) -> tuple[int, int] | None:
    """Return major and minor version of the transformers that wrote config.json."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})", str((model or {}).get("transformers_version", "")))
    return (int(match[1]), int(match[2])) if match else None


def read_config(path: Path, raw: dict[str, Any]) -> Source:
    """Read the labels and the task from config.json.

    Raises
    ------
    NotExpressibleError
        If the network is not an image classifier.
    """
    architectures = raw.get("architectures")
    heads = [head for head in architectures if isinstance(head, str)] if isinstance(architectures, list) else []
    if heads and not any("ForImageClassification" in head for head in heads):
        raise NotExpressibleError(
            f"{path.name}: {heads[0]} is not an image classifier (those end in ForImageClassification)."
        )
    notes = []
    if raw.get("problem_type") == "multi_label_classification":
        notes.append("problem_type is multi_label_classification: the labels are independent of each other")
    answers: dict[str, Any] = {}
    by_number = raw.get("id2label")
    if isinstance(by_number, dict):
        numbers = [str(number) for number in range(len(by_number))]
        if set(by_number) != set(numbers) or not all(isinstance(label, str) for label in by_number.values()):
            notes.append("id2label does not number its labels from 0: not taken")
        elif all(by_number[number] == f"LABEL_{number}" for number in numbers):
            notes.append("id2label has only placeholders (LABEL_0, ...): not taken")
        else:
            answers["labels"] = tuple(by_number[number] for number in numbers)
    return Source(path.name, f"transformers {heads[0] if heads else raw.get('model_type')}", answers, tuple(notes))


def _name(raw: dict[str, Any], model: dict[str, Any] | None, file: str) -> tuple[str, str]:
    processor = raw.get("image_processor_type") or raw.get("feature_extractor_type")
    if processor is None:
        architecture = (model or {}).get("model_type")
        if isinstance(architecture, str) and architecture in BY_MODEL:
            return BY_MODEL[architecture], ""
        raise NotExpressibleError(
            f"{file} names no image_processor_type, and no config.json beside it has a model_type that is known: which "
            "processor it is for cannot be told. Use flags."
        )
    match = _NAME.fullmatch(str(processor))
    if match is None:
        name = str(processor)[:80]
        raise NotExpressibleError(f"{file}: {name!r} is not an image processor of transformers. Use flags.")
    return match[1].replace("ConvNeXT", "ConvNext"), match[3] or ""


def _geometry(name: str, processor: Processor, raw: dict[str, Any], file: str, *, crop_offset: str) -> dict[str, Any]:
    resample = raw.get("resample", processor.resample)
    if type(resample) is not int or resample not in FILTERS:
        raise NotExpressibleError(f"{file}: resample {str(resample)[:40]!r} is none of Pillow's filters.")
    answers: dict[str, Any] = {"resize": FILTERS[resample], "antialias": True}
    shortest, squeezed = _size(raw.get("size"), processor, file)
    crop: Pair | None = None
    if raw.get("do_center_crop", processor.crops):
        crop = _pair(raw.get("crop_size", processor.crop), f"{file}: crop_size")
    shortest, squeezed, crop = _own_rules(name, processor, raw, file, (shortest, squeezed, crop))
    if crop is None:
        if squeezed is None:
            raise NotExpressibleError(
                f"{file}: the shortest edge becomes {shortest} and nothing is cropped, so the input's size changes "
                "with each image. A card has one size."
            )
        return answers | {"size": squeezed, "fit": "stretch"}
    before = squeezed or (shortest, shortest)
    if before[0] is None or before[0] < crop[0] or before[1] is None or before[1] < crop[1]:
        raise NotExpressibleError(
            f"{file}: the image becomes {before[0]}x{before[1]} and is cropped to {crop[0]}x{crop[1]}, which pads it "
            "with zeros. No card does that."
        )
    answers |= {"size": crop, "fit": "crop", "crop_offset": crop_offset}
    return answers | ({"resize_to": squeezed} if squeezed else {"shortest": shortest})


def _own_rules(
    name: str, processor: Processor, raw: dict[str, Any], file: str, sizes: tuple[int | None, Pair | None, Pair | None]
) -> tuple[int | None, Pair | None, Pair | None]:
    """Apply the rules of classes that derive the size of the resize from another number."""
    shortest, squeezed, crop = sizes
    percentage = raw.get("crop_pct", processor.crop_pct)
    if percentage is not None and (not isinstance(percentage, (int, float)) or not 0.01 <= percentage <= 1):
        raise NotExpressibleError(f"{file}: crop_pct {str(percentage)[:40]} is not between 0.01 and 1.")
    if name == "ConvNext":
        if shortest is None:
            raise NotExpressibleError(f"{file}: ConvNextImageProcessor needs size.shortest_edge.")
        if shortest >= 384:
            return None, (shortest, shortest), None
        return int(shortest / (percentage or processor.crop_pct or 1)), None, (shortest, shortest)
    if name == "Levit" and shortest is not None:
        return int(256 / 224 * shortest), None, crop
    if name == "PoolFormer" and percentage is not None:
        if shortest is not None:
            return int(shortest / percentage), None, crop
        if squeezed is not None and squeezed[0] == squeezed[1]:
            return int(squeezed[0] / percentage), None, crop
        if squeezed is not None:
            return None, (int(squeezed[0] / percentage), int(squeezed[1] / percentage)), crop
    return sizes


def _size(value: Any, processor: Processor, file: str) -> tuple[int | None, Pair | None]:
    """Return the shortest edge, or width and height, of the several forms of ``size``."""
    if value is None:
        value = processor.size
    if isinstance(value, dict):
        keys = set(value)
        if keys == {"shortest_edge"} and processor.shortest:
            return _pair(value["shortest_edge"], f"{file}: size.shortest_edge")[0], None
        if keys != {"height", "width"}:
            raise NotExpressibleError(
                f"{file}: size with {', '.join(sorted(map(str, keys)))[:80]} is not a fixed size of this processor."
            )
    elif processor.shortest and not isinstance(value, list):
        return _pair(value, f"{file}: size")[0], None
    return None, _pair(value, f"{file}: size")


def _pair(value: Any, what: str) -> Pair:
    """Return width and height of a number, [height, width] or {height, width}."""
    if isinstance(value, dict):
        sides = (value.get("width"), value.get("height"))
    elif isinstance(value, list) and len(value) == 2:
        sides = (value[1], value[0])
    else:
        sides = (value, value)
    for side in sides:
        if isinstance(side, bool) or not isinstance(side, int) or side < 1:
            raise NotExpressibleError(f"{what} is {str(value)[:80]}, not a size in pixels.")
    return sides  # type: ignore[return-value]


def _pixels(name: str, processor: Processor, raw: dict[str, Any], file: str) -> dict[str, Any]:
    factor = raw.get("rescale_factor", 1 / 255) if raw.get("do_rescale", True) else 1
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not factor:
        raise NotExpressibleError(f"{file}: rescale_factor {str(factor)[:40]} is not a number.")
    own_std = _numbers(raw, "image_std", processor.std, file)
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if processor.normalizes and raw.get("do_normalize", True):
        mean, std = _numbers(raw, "image_mean", processor.mean, file), own_std
    if name == "EfficientNet":
        if raw.get("rescale_offset", False):
            mean = tuple(value + 1 for value in mean)
        if raw.get("include_top", True):
            # The class divides by image_std a second time for the classifier's head.
            std = tuple(first * second for first, second in zip(std, own_std, strict=True))
    flips = processor.flips and raw.get("do_flip_channel_order", True)
    return {"scale": scale_of(factor), "mean": mean, "std": std, "color": "BGR" if flips else "RGB"}


def _numbers(raw: dict[str, Any], key: str, default: tuple[float, ...], file: str) -> tuple[float, ...]:
    """Return three numbers of ``key``, or the class's own where the config leaves it out or says null."""
    value = raw.get(key)
    return (three(list(default) if value is None else value, file, key) * 3)[:3]
