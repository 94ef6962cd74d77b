"""The usual differences between training and a card, one by one: each is a change to a part of the card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelkit.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loupe.card import InputSpec, OutputSpec

_FILTERS = ("bilinear", "nearest", "bicubic", "lanczos", "box")
_SWAPPED = {"logit": "probability", "probability": "logit", "logits": "probabilities", "probabilities": "logits"}
# Shortest sides before a centre crop, as shares of the crop: 256/224 (torchvision), 1/0.95 and 1/0.9 (timm), none.
_CROP_SHARES = (256 / 224, 1 / 0.95, 1 / 0.9, 1.0)
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
    """Return every change to the input that is tried, each of which differs from the card."""
    return [
        *(Change("filter", f"input.resize.filter {name!r}", {}, {"filter": name})
          for name in _FILTERS if name != spec.resize.filter),
        *_fits(spec),
        *(Change("color", f"input.color {name!r}", {"color": name}, {})
          for name in ("RGB", "BGR") if spec.color not in ("L", name)),
        *_normalisations(spec),
        *([Change("draft", "input.jpeg_draft 0", {"jpeg_draft": 0}, {})] if spec.jpeg_draft else []),
    ]  # fmt: skip


def other_kinds(output: OutputSpec) -> list[tuple[str, OutputSpec]]:
    """Return the other reading of the same count of numbers: squashed already, or not yet."""
    kind: Any = _SWAPPED[output.kind]
    return [(f"output.kind {kind!r}", output._replace(kind=kind, temperature=1.0))]


def _fits(spec: InputSpec) -> Iterator[Change]:
    resize, longest = spec.resize, max(spec.width, spec.height)
    if resize.fit != "stretch":
        yield Change("fit", "input.resize.fit 'stretch'", {}, {"fit": "stretch", "shortest": None})
    for share in _CROP_SHARES:
        shortest = None if share == 1 else round(longest * share)
        if resize.fit == "crop" and resize.shortest == shortest:
            continue
        text = "input.resize.fit 'crop'" + (f" with shortest {shortest}" if shortest else "")
        yield Change("fit", text, {}, {"fit": "crop", "shortest": shortest})
    for color in _PAD_COLORS:
        if resize.fit == "pad" and resize.pad_color == color:
            continue
        text = "input.resize.fit 'pad'" + (f" with pad_color {list(color)}" if color != (0, 0, 0) else "")
        yield Change("fit", text, {}, {"fit": "pad", "shortest": None, "pad_color": color})


def _normalisations(spec: InputSpec) -> Iterator[Change]:
    own = {"scale": spec.scale, "mean": spec.mean, "std": spec.std}
    if spec.dtype == "uint8":
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
