"""Image processors of transformers: the card's tensor equals the library's own, or the reason is a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import texture
from source_files import CONFIGS, HERE, SIZES, folder_of, graph, input_of, tensor

from modelkit.errors import ModelkitError
from modelkit.inspection import inspect_file
from modelkit.sources import NotExpressibleError, read_sources

REFERENCES = np.load(HERE / "processors.npz")
REFERENCES_5 = np.load(HERE / "processors-5.npz")
STEP = 29
# Bicubic, 199 x 333 pixels to a square between both: see modelkit.sources.processors.
CLIPPED_IN_ANOTHER_ORDER = {
    f"{name}/tall" for name in ("vit-fast", "default-DeiT", "default-Siglip", "default-Beit", "default-Pvt")
}
TAKEN = sorted(name for name in CONFIGS if not name.startswith("rejected"))
DEFAULTS = sorted({name.split("/")[0] for name in REFERENCES.files if name.startswith("default-")})


@pytest.mark.parametrize("kind", ["wide", "tall"])
@pytest.mark.parametrize("name", [*TAKEN, *DEFAULTS])
def test_the_tensor_is_that_of_transformers_own_processor(tmp_path: Path, name: str, kind: str) -> None:
    """Published configs, and the defaults of each class, within one level of 255 (the slow processors round)."""
    difference = from_reference(tmp_path, name, kind, REFERENCES, "4.46.0")
    assert difference.max() <= 1.01


@pytest.mark.parametrize("kind", ["wide", "tall"])
@pytest.mark.parametrize("name", [*TAKEN, *DEFAULTS])
def test_the_tensor_is_that_of_transformers_5_on_torchvision(tmp_path: Path, name: str, kind: str) -> None:
    """As above; bicubic, PyTorch clips overshoots in another order where one side grows and the other shrinks."""
    difference = from_reference(tmp_path, name, kind, REFERENCES_5, "5.24.0")
    clipped = f"{name}/{kind}" in CLIPPED_IN_ANOTHER_ORDER
    assert np.quantile(difference, 0.95 if clipped else 1) <= 1.03
    assert difference.mean() < 0.75


def from_reference(tmp_path: Path, name: str, kind: str, references: Any, version: str) -> np.ndarray[Any, Any]:
    """Differences from a processor's own tensor, in levels of 255."""
    config: Any = CONFIGS.get(name) or {"image_processor_type": f"{name.removeprefix('default-')}ImageProcessor"}
    if name == "default-MobileViT":
        config |= {"size": {"shortest_edge": 288}}
    files = {"preprocessor_config.json": config, "config.json": {"transformers_version": version}}
    fields = input_of(folder_of(tmp_path, files, graph("side")), tmp_path)
    pixels = tensor(fields, texture(SIZES[kind]))
    assert pixels.shape == tuple(references[f"{name}/{kind}/shape"])
    level = 1 / 255 / np.array(fields["std"])[:, None, None]
    return np.asarray(np.abs(pixels[:, ::STEP, ::STEP] - references[f"{name}/{kind}"]) / level)


def test_at_least_ten_published_configs_are_equal() -> None:
    assert len(TAKEN) >= 10


def test_a_shift_of_one_pixel_would_be_noticed(tmp_path: Path) -> None:
    file = folder_of(tmp_path, {"preprocessor_config.json": CONFIGS["bit"]}, graph("side"))
    fields = input_of(file, tmp_path)
    shifted = fields | {"resize": fields["resize"] | {"crop_offset": "round"}}
    assert fields["resize"]["crop_offset"] == "floor"
    difference = tensor(shifted, texture(SIZES["wide"]))[:, ::STEP, ::STEP] - REFERENCES["bit/wide"]
    assert np.abs(difference).max() > 0.1


@pytest.mark.parametrize(("name", "sentence"), [
    ("rejected-mobilenet-160", "becomes 160x160 and is cropped to 224x224, which pads it with zeros"),
    ("rejected-no-type", "names no image_processor_type"),
    ("rejected-qwen2-vl", "Qwen2VL cannot be a card: the number of patches depends on the image's size"),
    ("rejected-sam", "Sam cannot be a card: it feeds a segmentation model"),
])  # fmt: skip
def test_a_published_config_that_no_card_can_express_is_rejected_with_the_reason(
    tmp_path: Path, name: str, sentence: str
) -> None:
    file = folder_of(tmp_path, {"preprocessor_config.json": CONFIGS[name]}, graph("side"))
    with pytest.raises(NotExpressibleError, match=sentence):
        input_of(file, tmp_path)


def test_a_config_without_a_type_is_read_by_the_architecture(tmp_path: Path) -> None:
    files = {"preprocessor_config.json": CONFIGS["rejected-no-type"], "config.json": {"model_type": "dinov2"}}
    fields = input_of(folder_of(tmp_path, files, graph("side")), tmp_path)
    assert fields["resize"] == {"filter": "bicubic", "fit": "crop", "shortest": 224, "crop_offset": "floor"}


def test_processor_config_json_is_read_too(tmp_path: Path) -> None:
    config = {"image_processor": json.loads(CONFIGS["vit"]), "processor_class": "ViTProcessor"}
    fields = input_of(folder_of(tmp_path, {"processor_config.json": config}, graph("side")), tmp_path)
    assert fields["resize"] == {"filter": "bilinear", "fit": "stretch"}


@pytest.mark.parametrize(("suffix", "version", "matched", "offset"), [
    ("", None, "slow (PIL)", "floor"),
    ("", "4.46.0", "slow (PIL)", "floor"),
    ("", "5.1.0", "fast (torchvision)", "floor"),
    ("Pil", "5.1.0", "slow (PIL)", "floor"),
    ("Fast", None, "fast (torchvision)", "floor"),
    ("Fast", "4.46.0", "fast (torchvision)", "round"),
    ("Fast", "4.57.6", "fast (torchvision)", "floor"),
])  # fmt: skip
def test_the_processor_that_is_matched_is_stated(
    tmp_path: Path, suffix: str, version: str | None, matched: str, offset: str
) -> None:
    config = json.loads(CONFIGS["bit"]) | {"image_processor_type": f"BitImageProcessor{suffix}"}
    files = {"preprocessor_config.json": config} | (
        {"config.json": {"transformers_version": version}} if version else {}
    )
    file = folder_of(tmp_path, files, graph("side"))
    source = read_sources(tmp_path, inspect_file(file))[-1]
    assert source.kind == f"transformers BitImageProcessor, {matched}"
    assert source.answers["crop_offset"] == offset
    assert any("read as that of version 4" in note for note in source.notes) == (version is None and not suffix)
    assert any("before transformers 4.57" in note for note in source.notes) == (matched[0] == "f" and offset == "floor")


def test_an_omitted_key_whose_default_changed_needs_the_version(tmp_path: Path) -> None:
    files: dict[str, Any] = {"preprocessor_config.json": {"image_processor_type": "PvtImageProcessor"}}
    file = folder_of(tmp_path, files, graph("side"))
    with pytest.raises(NotExpressibleError, match=r"leaves out resample .* different defaults \(resample: 2 and 3\)"):
        input_of(file, tmp_path)
    for version, expected in (("4.57.6", "bilinear"), ("5.0.0", "bicubic")):
        folder_of(tmp_path, {"config.json": {"transformers_version": version}}, graph("side"))
        assert input_of(file, tmp_path)["resize"]["filter"] == expected


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"size": {"longest_edge": 300}}, "size with longest_edge is not a fixed size"),
    ({"size": {"shortest_edge": 224}}, "size with shortest_edge is not a fixed size"),
    ({"size": "big"}, "is big, not a size in pixels"),
    ({"do_resize": False}, "do_resize is false"),
    ({"resample": 9}, "resample '9' is none of Pillow's filters"),
    ({"resample": [2]}, "is none of Pillow's filters"),
    ({"image_mean": [0.5, 0.5]}, "image_mean must be a number, or one for each of three channels"),
    ({"image_processor_type": "Other"}, "'Other' is not an image processor of transformers"),
    ({"image_processor_type": "CLIPImageProcessor", "size": 224, "do_center_crop": False}, "changes with each image"),
    ({"rescale_factor": "x"}, "rescale_factor x is not a number"),
])  # fmt: skip
def test_odd_configs_are_rejected_with_a_clear_message(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    config = json.loads(CONFIGS["vit"]) | changes
    file = folder_of(tmp_path, {"preprocessor_config.json": config}, graph("side"))
    with pytest.raises(ModelkitError, match=sentence):
        input_of(file, tmp_path)


@pytest.mark.parametrize(("config", "labels", "note"), [
    ({"architectures": ["ViTForImageClassification"], "id2label": {"1": "blue", "0": "red"}}, ("red", "blue"), ""),
    ({"model_type": "vit", "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, None, "only placeholders"),
    ({"model_type": "vit", "id2label": {"1": "a", "2": "b"}}, None, "does not number its labels from 0"),
    ({"model_type": "vit", "problem_type": "multi_label_classification"}, None, "independent of each other"),
])  # fmt: skip
def test_labels_are_read_from_config_json(tmp_path: Path, config: Any, labels: Any, note: str) -> None:
    file = folder_of(tmp_path, {"config.json": config}, graph("side"))
    (source,) = read_sources(tmp_path, inspect_file(file))
    assert source.answers.get("labels") == labels
    assert note in " ".join(source.notes)


def test_another_kind_of_network_is_rejected_by_its_name(tmp_path: Path) -> None:
    file = folder_of(tmp_path, {"config.json": {"architectures": ["YolosForObjectDetection"]}}, graph("side"))
    with pytest.raises(NotExpressibleError, match="YolosForObjectDetection is not an image classifier"):
        read_sources(tmp_path, inspect_file(file))
