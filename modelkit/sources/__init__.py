"""Read configuration files beside a model; explicit options take precedence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelkit.errors import ModelkitError
from modelkit.label_forms import join_labels
from modelkit.sources.exports import MANIFEST, read_custom_vision, read_ultralytics
from modelkit.sources.source import NotExpressibleError, Source, read_object
from modelkit.sources.timm import is_timm, read_timm
from modelkit.sources.torchvision import read_weights
from modelkit.sources.transformers import FILES, read_config, read_processor

if TYPE_CHECKING:
    from pathlib import Path

    from modelkit.adding import Answers
    from modelkit.inspection import Inspection

__all__ = ["NotExpressibleError", "Source", "configurations", "fill", "read_sources"]

# Fields that depend on each other: if the user sets one, the file's values for the others are ignored.
_FIT = ("fit", "shortest", "resize_to", "crop_first", "pad_color", "align")
_PIXELS = ("scale", "mean", "std", "color")


def read_sources(folder: Path | None, inspection: Inspection, weights: str | None = None) -> list[Source]:
    """Return what the graph's metadata, the files in ``folder`` and the name of torchvision's ``weights`` say.

    Raises
    ------
    NotExpressibleError
        If a card cannot express the configuration.
    ModelkitError
        If there is none, or a file cannot be read.
    """
    own = read_ultralytics(inspection.metadata)
    sources = [own] if own else []
    if weights is not None:
        if folder is not None:
            raise ModelkitError("--weights is for models without configuration files: give it or --from, not both.")
        sources.append(read_weights(weights))
    if folder is None:
        return sources
    if not folder.is_dir():
        raise ModelkitError(f"--from {folder} is not a folder.")
    if (folder / MANIFEST).is_file():
        sources += read_custom_vision(folder, inspection.metadata)
    config = read_object(folder / "config.json") if (folder / "config.json").is_file() else None
    if config is not None and is_timm(config):
        image = inspection.image
        size = (image.width, image.height) if image else (None, None)
        sources.append(read_timm(folder / "config.json", config, size))
    else:
        processor = next((folder / name for name in FILES if (folder / name).is_file()), None)
        if config is not None:
            sources.append(read_config(folder / "config.json", config))
        if processor is not None:
            sources.append(read_processor(processor, config))
    if not sources:
        raise ModelkitError(
            f"--from {folder}: none of {', '.join((*FILES, 'config.json', MANIFEST))} is there. Use flags."
        )
    return sources


def configurations(folder: Path) -> list[str]:
    """Return the names of the files in ``folder`` that `read_sources` reads."""
    return [name for name in (*FILES, "config.json", MANIFEST) if (folder / name).is_file()]


def fill(answers: Answers, sources: list[Source], inspection: Inspection) -> list[str]:
    """Fill unset answers from the sources; return a line for each value and its source.

    Raises
    ------
    ModelkitError
        If a source is for another size of image than the graph.
    """
    stated = {name for name, value in vars(answers).items() if value is not None}
    lines = []
    for source in sources:
        lines.append(f"{source.file}: {source.kind}")
        for name, value in source.answers.items():
            rule = _overriding_option(name, stated)
            if rule:
                lines.append(f"  {_shown(name, value)}: not taken, {rule} is given")
                continue
            if name == "size":
                _check_size(value, source, inspection)
            setattr(answers, name, value)
            lines.append(f"  {_shown(name, value)}")
        lines += [f"  note: {note}" for note in source.notes]
    return lines


def _overriding_option(name: str, stated: set[str]) -> str | None:
    if name in stated:
        return _option(name)
    if name in _PIXELS and "preprocess" in stated:
        return "--preprocess"
    if name in (*_FIT, "crop_offset"):
        return next((_option(other) for other in _FIT if other in stated), None)
    return None


def _check_size(value: tuple[int, int], source: Source, inspection: Inspection) -> None:
    image = inspection.image
    if image and (image.width or value[0], image.height or value[1]) != value:
        raise ModelkitError(
            f"{source.file} makes images of {value[0]}x{value[1]}, but the graph takes "
            f"{image.width}x{image.height}: they are not of one model. Use flags instead, --size among them."
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(name: str, value: Any) -> str:
    if name == "labels":
        more = ", ..." if len(value) > 5 else ""
        return f"--labels ({len(value)}) {join_labels(value[:5])}{more}"
    if name == "antialias":
        return "--antialias" if value else "--no-antialias"
    if name in ("size", "resize_to"):
        return f"{_option(name)} {value[0]}x{value[1]}"
    return f"{_option(name)} {','.join(f'{item:g}' for item in value) if isinstance(value, tuple) else value}"
