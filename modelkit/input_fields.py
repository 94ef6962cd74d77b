"""The card's ``input`` from the graph and the user's answers; missing facts become questions."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from loupe.input_spec import ALIGNS, COLORS, CROP_OFFSETS, DTYPES, EXIF, FILTERS, FITS, GREYS, INTEGER_DTYPES

from modelkit.errors import ModelkitError
from modelkit.inspection import NO_IMAGE_INPUT, ImageInput, Inspection, Tensor
from modelkit.presets import PRESETS

if TYPE_CHECKING:
    from modelkit.adding import Answers

_ORDER = ("name", "width", "height", "layout", "flatten", "dtype", "color", "grey", "resize", "jpeg_draft", "exif",
          "scale", "mean", "std")  # fmt: skip
_CHOICES = {"fit": FITS, "crop_offset": CROP_OFFSETS, "align": ALIGNS, "exif": EXIF, "grey": GREYS}


def input_fields(inspection: Inspection, answers: Answers, questions: dict[str, str]) -> dict[str, Any]:
    """Return the card's ``input``; what is missing is added to ``questions``, by option.

    Raises
    ------
    modelkit.errors.ModelkitError
        If the graph takes no image, or an answer contradicts it.
    """
    value, image = inspection.inputs[0], inspection.image or NO_IMAGE_INPUT
    if value.dtype not in DTYPES:
        raise ModelkitError(
            f"Input {value.name!r} is {value.dtype}; served are {', '.join(DTYPES)}. Export the model again with a "
            "float32 input (in PyTorch: model.float() and a float32 example)."
        )
    for key, allowed in _CHOICES.items():
        stated = getattr(answers, key)
        if stated is not None and stated not in allowed:
            raise ModelkitError(f"--{key.replace('_', '-')} {stated} is unknown; there are {', '.join(allowed)}.")
    layout = _layout(value, image, answers, questions)
    width, height = _image_size(value, image, answers, questions)
    flatten = len(value.shape) == 2
    channels = _channels(value, image, answers, questions, (width, height) if flatten else None)
    fields: dict[str, Any] = {
        "name": value.name,
        "width": width,
        "height": height,
        "layout": layout,
        "dtype": value.dtype,
    }
    if flatten:
        fields["flatten"] = True
    fields |= _pixels(value.dtype, channels or 3, answers, questions)
    fields["resize"] = _resize(answers, questions)
    for key in ("jpeg_draft", "exif", "grey"):
        if getattr(answers, key):
            fields[key] = getattr(answers, key)
    return {key: fields[key] for key in _ORDER if key in fields}


def assumptions(answers: Answers, fields: dict[str, Any]) -> list[str]:
    """Return a line for each property of the preprocessing that is assumed, with the option that states it."""
    resize = fields["resize"]
    lines = []
    if answers.fit is None and resize["fit"] == "stretch":
        lines.append("both sides are resized, whatever the aspect ratio (--fit crop or pad, --shortest, --resize-to)")
    if answers.antialias is None and resize["filter"] == "bilinear":
        lines.append("the resize is antialiased, as Pillow's and torchvision's are (--no-antialias: OpenCV, tf.image)")
    if resize["fit"] == "crop" and answers.crop_first is None and answers.resize_to is None:
        lines.append("the image is resized and then cropped (--crop-first: fastai crops and then resizes)")
    if resize["fit"] == "crop" and answers.crop_offset is None:
        lines.append(
            "an odd margin of the crop is rounded as by torchvision (--crop-offset floor: Albumentations, Keras)"
        )
    if resize["fit"] == "pad":
        if answers.pad_color is None:
            lines.append("the padding is black (--pad-color 114,114,114)")
        if answers.align is None:
            lines.append("the image stands in the middle of the padding (--align top-left)")
    if answers.exif is None:
        lines.append("photos are turned upright by EXIF (--exif ignore: ImageFolder, timm, Keras read stored pixels)")
    if fields["color"] == "L" and answers.grey is None:
        lines.append("grey is 0.299 R + 0.587 G + 0.114 B (--grey average)")
    return lines


def _layout(value: Tensor, image: ImageInput, answers: Answers, questions: dict[str, str]) -> str | None:
    axes = len(value.shape)
    if axes not in (2, 3, 4) or (axes == 3 and image.layout is None):
        raise ModelkitError(f"Input {value.name!r} has shape {list(value.shape)}: {image.reason} This takes no image.")
    if answers.layout and image.layout and answers.layout != image.layout:
        raise ModelkitError(f"--layout {answers.layout} contradicts the graph: {image.reason}")
    layout = image.layout or answers.layout
    if layout is None and axes == 2 and answers.color == "L":
        return "NHWC"  # One channel: its place makes no difference.
    if layout is None:
        questions["--layout"] = f"NCHW (channels first) or NHWC (last)? {image.reason}"
    return layout


def _channels(
    value: Tensor, image: ImageInput, answers: Answers, questions: dict[str, str], size: tuple[int | None, ...] | None
) -> int | None:
    """Channels by the graph or by the colour; ``size`` is given for flattened inputs, whose length must fit."""
    channels = image.channels or (1 if answers.color == "L" else 3 if answers.color else None)
    length = value.shape[1] if size else None
    if size and None not in size and isinstance(length, int):
        pixels = prod(side for side in size if side)
        if length not in (pixels, 3 * pixels):
            raise ModelkitError(
                f"Input {value.name!r} takes {length} numbers for an image, but --size {size[0]}x{size[1]} has "
                f"{pixels} pixels: {length} is neither that (grey) nor {3 * pixels} (colour)."
            )
        channels = length // pixels
    if channels not in (1, 3):
        if image.channels is not None:
            raise ModelkitError(f"Input {value.name!r} takes {channels} channels; images have 1 (grey) or 3 (colour).")
        questions["--color"] = f"one of {', '.join(COLORS)}: the graph does not fix the number of channels."
    return channels


def _image_size(
    value: Tensor, image: ImageInput, answers: Answers, questions: dict[str, str]
) -> tuple[int | None, int | None]:
    width, height = image.width, image.height
    if answers.size:
        size = answers.size
        if (width or size[0], height or size[1]) != size:
            raise ModelkitError(f"--size {size[0]}x{size[1]} contradicts the graph, which takes {width}x{height}.")
        return size
    if width is None or height is None:
        questions["--size"] = f"WIDTHxHEIGHT of training: the graph leaves it open ({list(value.shape)})."
    return width, height


def _pixels(dtype: str, channels: int, answers: Answers, questions: dict[str, str]) -> dict[str, Any]:
    """Colour order, scale, mean and std, from the preset and the single values over it."""
    fields: dict[str, Any] = {}
    preset = answers.preprocess or ("raw" if dtype in INTEGER_DTYPES else None)
    if preset is not None:
        if preset not in PRESETS:
            raise ModelkitError(f"--preprocess {preset} is unknown; there are {', '.join(PRESETS)}.")
        try:
            fields = PRESETS[preset].fields(channels)
        except ValueError as error:
            raise ModelkitError(f"--preprocess {preset} {error}. Try unit, minus-one-one or raw.") from None
    elif answers.scale is None or answers.mean is None or answers.std is None:
        questions["--preprocess"] = (
            f"how training scaled the pixels: {', '.join(PRESETS)}; or --scale, --mean and --std one by one."
        )
    if answers.scale is not None:
        fields["scale"] = answers.scale
    for key in ("mean", "std"):
        stated = getattr(answers, key)
        if stated is not None:
            # One number counts for every channel, as in torchvision's Normalize and Keras.
            fields[key] = list(stated) * channels if len(stated) == 1 else list(stated)
    if channels == 1:
        fields["color"] = "L"
    elif answers.color is not None:
        fields["color"] = answers.color
    elif preset is None and "--preprocess" not in questions:
        questions.setdefault(
            "--color", "RGB or BGR: the channel order of training (OpenCV reads BGR, most others RGB)."
        )
    if answers.color is not None and (answers.color == "L") != (channels == 1):
        raise ModelkitError(f"--color {answers.color} contradicts the graph, whose input has {channels} channel(s).")
    return fields


def _resize(answers: Answers, questions: dict[str, str]) -> dict[str, Any]:
    if answers.resize is None:
        questions["--resize"] = (
            f"the filter of training: {', '.join(FILTERS)} (torchvision: bilinear; Pillow's resize: bicubic; Keras "
            "load_img: nearest)."
        )
        return {}
    if answers.resize not in FILTERS:
        raise ModelkitError(f"--resize {answers.resize} is unknown; there are {', '.join(FILTERS)}.")
    fields: dict[str, Any] = {
        "filter": answers.resize,
        "fit": answers.fit or ("crop" if answers.shortest or answers.resize_to or answers.crop_first else "stretch"),
    }
    if answers.antialias is False:
        fields["antialias"] = False
    if answers.crop_first:
        fields["crop_first"] = True
    for key, value in (
        ("shortest", answers.shortest), ("size", answers.resize_to), ("crop_offset", answers.crop_offset),
        ("pad_color", answers.pad_color), ("align", answers.align),
    ):  # fmt: skip
        if value is not None:
            fields[key] = list(value) if isinstance(value, tuple) else value
    return fields
