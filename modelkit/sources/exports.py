"""Metadata of exporters: Ultralytics in the graph's metadata, Azure Custom Vision in cvexport.manifest and metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from modelkit.label_files import read_labels
from modelkit.label_forms import parse_labels
from modelkit.sources.source import NotExpressibleError, Source, read_object

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "cvexport.manifest"
_ZERO, _ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
# The first version whose classifiers are evaluated by torchvision's Resize and CenterCrop.
_TORCHVISION_SINCE = (8, 1)


def read_ultralytics(metadata: dict[str, str]) -> Source | None:
    """Read ``names``, ``imgsz`` and ``task``; None if the graph was not exported by Ultralytics.

    Raises
    ------
    NotExpressibleError
        If the task is not classification.
    """
    if not {"task", "names", "imgsz", "stride"} <= set(metadata):
        return None
    where = "the graph's metadata"
    if metadata["task"] != "classify":
        raise NotExpressibleError(
            f"{where}: Ultralytics' task is {metadata['task'][:40]!r}; only 'classify' is image classification."
        )
    answers: dict[str, Any] = {"labels": parse_labels(metadata["names"], f"{where}: names")}
    notes = []
    sides = re.fullmatch(r"\[(\d{1,5}), ?(\d{1,5})\]", metadata["imgsz"].strip())
    version = re.match(r"(\d+)\.(\d+)", metadata.get("version", ""))
    if sides is None or sides[1] != sides[2]:
        notes.append(f"imgsz {metadata['imgsz'][:40]} is not a square: the resize is not taken")
    elif version is None or (int(version[1]), int(version[2])) < _TORCHVISION_SINCE:
        answers["size"] = (int(sides[1]), int(sides[2]))
        notes.append(
            "there is no version of Ultralytics in it, and before 8.1 the resize was another: it is not taken"
            if version is None
            else "before Ultralytics 8.1 the resize was another (a crop, then OpenCV): it is not taken"
        )
    else:
        side = int(sides[1])
        answers |= {"size": (side, side), "resize": "bilinear", "antialias": True, "fit": "crop", "shortest": side,
                    "crop_offset": "round", "scale": "1/255", "mean": _ZERO, "std": _ONE, "color": "RGB"}  # fmt: skip
    kind = " ".join(part for part in ("Ultralytics", metadata.get("version", "")[:20], "classify") if part)
    return Source(where, kind, answers, tuple(notes))


def read_custom_vision(folder: Path, metadata: dict[str, str]) -> list[Source]:
    """Read an export of Azure Custom Vision: labels.txt, and pixels as its own ``predict.py`` makes them.

    Raises
    ------
    NotExpressibleError
        If it is an object detector, or no ONNX export.
    """
    raw = read_object(folder / MANIFEST)
    domain, platform = str(raw.get("DomainType"))[:40], str(raw.get("Platform"))[:40]
    if domain != "Classification":
        raise NotExpressibleError(f"{MANIFEST}: the domain is {domain}; only Classification is image classification.")
    if platform.upper() != "ONNX":
        raise NotExpressibleError(f"{MANIFEST}: the export is for {platform}; export it again for ONNX.")
    sources = []
    labels = folder / str(raw.get("LabelFileName") or "labels.txt")
    if labels.parent == folder and labels.is_file():
        sources.append(Source(labels.name, "Azure Custom Vision", {"labels": read_labels(labels)}))
    full_range = metadata.get("Image.NominalPixelRange") == "NominalRange_0_255"
    answers: dict[str, Any] = {
        "resize": "bicubic", "antialias": True, "fit": "stretch", "scale": 1 if full_range else "1/255", "mean": _ZERO,
        "std": _ONE, "color": "BGR" if metadata.get("Image.BitmapPixelFormat") == "Bgr8" else "RGB",
    }  # fmt: skip
    return [*sources, Source(f"{MANIFEST} and the graph's metadata", "Azure Custom Vision, predict.py", answers)]
