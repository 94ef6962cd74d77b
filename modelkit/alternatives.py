"""Common differences between training and a card, each as a change to one part of the card."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from loupe.input_spec import ALIGNS, INTEGER_DTYPES

from modelkit.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loupe.card import InputSpec, OutputSpec

_FILTERS = ("bilinear", "nearest", "bicubic", "lanczos", "box")
_SWAPPED = {
    "logit": "probability", "probability": "logit", "logits": "probabilities", "probabilities": "logits",
    "multilabel-logits": "multilabel-probabilities", "multilabel-probabilities": "multilabel-logits",
}  # fmt: skip
# Shortest sides before a centre crop, as shares of the crop: 256/224 (torchvision), 1/0.95 and 1/0.9 (timm), none.
_CROP_SHARES = (256 / 224, 1 / 0.95, 1 / 0.9, 1.0)
# What belongs to one fit and must go with it.
_NO_FIT: dict[str, Any] = {
    "shortest": None,
    "size": None,
    "crop_first": False,
    "pad_color": (0, 0, 0),
    "align": "center",
}
_PAD_COLORS = ((0, 0, 0), (114, 114, 114), (128, 128, 128), (255, 255, 255))


@dataclass(frozen=True)
class Change:
    """``part`` is what it changes: two changes to one part exclude each other. ``text`` is in the card's words."""

    part: str
    text: str
    values: dict[str, Any]
    resize: dict[str, Any]

    def apply(self, spec: InputSpec) -> InputSpec:
        """Return the input with this change."""
        return spec._replace(resize=spec.resize._replace(**self.resize), **self.values)


def input_changes(spec: InputSpec) -> list[Change]:
    """Return the changes to the input to try; each differs from the card."""
    return [
        *(Change("filter", f"input.resize.filter {name!r}", {}, {"filter": name, "antialias": True})
          for name in _FILTERS if name != spec.resize.filter),
        *_fits(spec),
        *(Change("color", f"input.color {name!r}", {"color": name}, {})
          for name in ("RGB", "BGR") if spec.color not in ("L", name)),
        *_sampling(spec),
        *_normalisations(spec),
        *([Change("draft", "input.jpeg_draft 0", {"jpeg_draft": 0}, {})] if spec.jpeg_draft else []),
    ]  # fmt: skip


def other_kinds(output: OutputSpec) -> list[tuple[str, OutputSpec]]:
    """Return the alternative kinds for the same number of outputs: before or after softmax or sigmoid."""
    kind: Any = _SWAPPED[output.kind]
    return [(f"output.kind {kind!r}", output._replace(kind=kind, temperature=1.0))]


def _fits(spec: InputSpec) -> Iterator[Change]:
    resize, longest = spec.resize, max(spec.width, spec.height)
    if resize.fit != "stretch":
        yield Change("fit", "input.resize.fit 'stretch'", {}, _NO_FIT | {"fit": "stretch"})
    for share in _CROP_SHARES:
        shortest = None if share == 1 else round(longest * share)
        if resize.fit == "crop" and resize.size is None and resize.shortest == shortest and not resize.crop_first:
            continue
        text = "input.resize.fit 'crop'" + (f" with shortest {shortest}" if shortest else "")
        yield Change("fit", text, {}, _NO_FIT | {"fit": "crop", "shortest": shortest})
        size = (round(spec.width * share), round(spec.height * share))
        if share != 1 and resize.size != size:
            text = f"input.resize.fit 'crop' with size {list(size)}"
            yield Change("fit", text, {}, _NO_FIT | {"fit": "crop", "size": size})
    if not resize.crop_first:
        first = {"fit": "crop", "crop_first": True, "crop_offset": "floor"}
        yield Change("fit", "input.resize.fit 'crop' with crop_first and crop_offset 'floor'", {}, _NO_FIT | first)
    for color, align in product(_PAD_COLORS, ALIGNS):
        if resize.fit == "pad" and (resize.pad_color, resize.align) == (color, align):
            continue
        named = [f"pad_color {list(color)}"] if color != (0, 0, 0) else []
        named += [f"align {align!r}"] if align != "center" else []
        text = "input.resize.fit 'pad'" + (f" with {' and '.join(named)}" if named else "")
        yield Change("fit", text, {}, _NO_FIT | {"fit": "pad", "pad_color": color, "align": align})


def _sampling(spec: InputSpec) -> Iterator[Change]:
    """Orientation, antialiasing and the weights of grey."""
    if spec.resize.antialias:
        text = "input.resize.antialias false"
        if spec.resize.filter != "bilinear":
            text = f"input.resize.filter 'bilinear' and {text}"
        yield Change("filter", text, {"jpeg_draft": 0}, {"filter": "bilinear", "antialias": False})
    else:
        yield Change("filter", "input.resize.antialias true", {}, {"antialias": True})
    exif: Any = "ignore" if spec.exif == "apply" else "apply"
    yield Change("exif", f"input.exif {exif!r}", {"exif": exif}, {})
    if spec.color == "L":
        grey: Any = "average" if spec.grey == "luma" else "luma"
        yield Change("grey", f"input.grey {grey!r}", {"grey": grey}, {})


def _normalisations(spec: InputSpec) -> Iterator[Change]:
    own = {"scale": spec.scale, "mean": spec.mean, "std": spec.std}
    if spec.dtype in INTEGER_DTYPES:
        return
    for name, preset in PRESETS.items():
        try:
            fields = preset.fields(spec.channels)
        except ValueError:
            continue
        scale = 1 / 255 if fields["scale"] == "1/255" else float(fields["scale"])
        numbers = {"scale": scale, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])}
        if numbers != own:
            yield Change("pixels", f"preprocessing {name!r} (input.scale, mean, std)", numbers, {})
    if spec.channels == 1:
        inverted = {"scale": -1 / 255, "mean": (-1.0,), "std": (1.0,)}
        if inverted != own:
            text = "inverted grey (input.scale '-1/255', mean [-1], std [1])"
            yield Change("pixels", text, inverted, {})
