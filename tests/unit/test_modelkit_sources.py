"""Configuration of timm, Ultralytics, Custom Vision and torchvision beside a model, and `modelkit add --from`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import texture
from loupe.card import CardError, parse_card
from onnx_zoo import save
from PIL import Image
from source_files import CONFIGS, SIZES, card_of, folder_of, graph, input_of, tensor
from typer.testing import CliRunner, Result

from modelkit.adding import Answers
from modelkit.cli import app
from modelkit.errors import ModelkitError
from modelkit.input_fields import input_fields
from modelkit.inspection import inspect_file
from modelkit.sources import NotExpressibleError, fill, read_sources
from modelkit.sources.torchvision import TRANSFORMS, read_weights

# Of timm's model cards: vit_base_patch16_224.augreg2_in21k_ft_in1k and convnext_tiny.in12k_ft_in1k.
TIMM_VIT = {
    "architecture": "vit_base_patch16_224", "num_classes": 2, "label_names": ["red", "blue"],
    "pretrained_cfg": {"tag": "augreg2_in21k_ft_in1k", "input_size": [3, 224, 224], "fixed_input_size": True,
                       "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center", "mean": [0.5, 0.5, 0.5],
                       "std": [0.5, 0.5, 0.5], "num_classes": 1000, "first_conv": "patch_embed.proj"},
}  # fmt: skip
TIMM_CONVNEXT = {
    "architecture": "convnext_tiny", "num_classes": 1000,
    "pretrained_cfg": {"tag": "in12k_ft_in1k", "input_size": [3, 224, 224], "test_input_size": [3, 288, 288],
                       "interpolation": "bicubic", "crop_pct": 0.95, "test_crop_pct": 1.0, "crop_mode": "center",
                       "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
}  # fmt: skip
ULTRALYTICS = {
    "description": "Ultralytics YOLOv8n-cls model", "author": "Ultralytics", "version": "8.3.40", "stride": "1",
    "task": "classify", "batch": "1", "imgsz": "[64, 64]", "names": "{0: 'red', 1: \"bird's blue\"}",
}  # fmt: skip


HF: dict[str, Any] = {
    "preprocessor_config.json": CONFIGS["vit-128"],
    "config.json": {"architectures": ["ViTForImageClassification"], "id2label": {"0": "red", "1": "blue"}},
}


def test_timm_is_read_as_its_evaluation_transform(tmp_path: Path) -> None:
    """floor(224 / 0.9) = 248 by the shorter side, bicubic, CenterCrop; compared with Pillow's own operations."""
    file = folder_of(tmp_path, {"config.json": TIMM_VIT}, graph(224))
    fields = input_of(file, tmp_path)
    assert fields["resize"] == {"filter": "bicubic", "fit": "crop", "shortest": 248, "crop_offset": "round"}
    image = Image.fromarray(texture(SIZES["wide"]))
    resized = image.resize((248 * 301 // 257, 248), Image.Resampling.BICUBIC)
    left, top = round((resized.width - 224) / 2), 12
    pixels = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float64)
    expected = ((pixels / 255 - 0.5) / 0.5).transpose(2, 0, 1)
    assert np.abs(tensor(fields, texture(SIZES["wide"])) - expected).max() < 1e-5


@pytest.mark.parametrize(("side", "shortest"), [(224, 235), (288, 288), ("side", 235)])
def test_the_size_of_the_graph_chooses_between_timms_train_and_test_size(
    tmp_path: Path, side: int | str, shortest: int
) -> None:
    fields = input_of(folder_of(tmp_path, {"config.json": TIMM_CONVNEXT}, graph(side)), tmp_path)
    assert fields["resize"]["shortest"] == shortest
    assert fields["width"] == (224 if side == "side" else side)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"crop_mode": "border"}, "crop_mode 'border' pads and crops"),
    ({"input_size": [3, 224, 192]}, "only squares are"),
    ({"input_size": [1, 224, 224]}, "has 1 channels"),
    ({"interpolation": "cubic"}, "interpolation 'cubic' is not a filter of Pillow"),
    ({"crop_pct": 3}, "crop_pct 3 is not between 0.01 and 1"),
])  # fmt: skip
def test_timm_transforms_that_no_card_carries_out_are_rejected(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    config = TIMM_VIT | {"pretrained_cfg": TIMM_VIT["pretrained_cfg"] | changes}  # type: ignore[operator]
    file = folder_of(tmp_path, {"config.json": config}, graph("side"))
    with pytest.raises(NotExpressibleError, match=sentence):
        input_of(file, tmp_path)


@pytest.mark.parametrize(("percentage", "resize"), [
    (1.0, {"filter": "bicubic", "fit": "stretch"}),
    (0.9, {"filter": "bicubic", "fit": "crop", "size": [248, 248], "crop_offset": "round"}),
])  # fmt: skip
def test_timms_squash_is_a_size_before_the_crop(tmp_path: Path, percentage: float, resize: dict[str, Any]) -> None:
    changes = {"crop_mode": "squash", "crop_pct": percentage}
    config = TIMM_VIT | {"pretrained_cfg": TIMM_VIT["pretrained_cfg"] | changes}  # type: ignore[operator]
    assert input_of(folder_of(tmp_path, {"config.json": config}, graph(224)), tmp_path)["resize"] == resize


def test_ultralytics_metadata_is_read_from_the_graph_itself(tmp_path: Path) -> None:
    file = folder_of(tmp_path, {}, graph(64, metadata=ULTRALYTICS))
    (source,) = read_sources(None, inspect_file(file))
    assert source.answers["labels"] == ("red", "bird's blue")
    fields = input_of(file, None)
    assert fields["resize"] == {"filter": "bilinear", "fit": "crop", "shortest": 64, "crop_offset": "round"}
    assert (fields["scale"], fields["mean"]) == ("1/255", [0, 0, 0])


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
def test_ultralytics_models_of_other_tasks_are_rejected_by_name(tmp_path: Path, task: str) -> None:
    file = folder_of(tmp_path, {}, graph(64, metadata=ULTRALYTICS | {"task": task}))
    with pytest.raises(NotExpressibleError, match=f"task is '{task}'; only 'classify'"):
        read_sources(None, inspect_file(file))


@pytest.mark.parametrize(
    ("version", "note"), [("8.0.20", "before Ultralytics 8.1"), (None, "no version of Ultralytics")]
)
def test_old_or_unknown_ultralytics_versions_yield_labels_and_size_without_resize(
    tmp_path: Path, version: str | None, note: str
) -> None:
    metadata = {key: value for key, value in ULTRALYTICS.items() if key in ("names", "imgsz", "task", "stride")}
    metadata |= {"version": version} if version else {}
    (source,) = read_sources(None, inspect_file(folder_of(tmp_path, {}, graph(64, metadata=metadata))))
    assert source.answers == {"labels": ("red", "bird's blue"), "size": (64, 64)}
    assert note in source.notes[0]


@pytest.mark.parametrize(("metadata", "color", "scale"), [
    ({"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}, "BGR", 1),
    ({"Image.BitmapPixelFormat": "Rgb8", "Image.NominalPixelRange": "Normalized_0_1"}, "RGB", "1/255"),
])  # fmt: skip
def test_custom_vision_exports_are_read(tmp_path: Path, metadata: dict[str, str], color: str, scale: Any) -> None:
    manifest = {"DomainType": "Classification", "Platform": "ONNX", "Flavor": "ONNX12", "ModelFileName": "model.onnx",
                "LabelFileName": "labels.txt", "SchemaVersion": "1.0"}  # fmt: skip
    files = {"cvexport.manifest": manifest, "labels.txt": "red\r\nblue\r\n"}
    file = folder_of(tmp_path, files, graph(64, metadata=metadata))
    fields = input_of(file, tmp_path)
    assert (fields["color"], fields["scale"], fields["resize"]) == (
        color,
        scale,
        {"filter": "bicubic", "fit": "stretch"},
    )
    assert read_sources(tmp_path, inspect_file(file))[0].answers["labels"] == ("red", "blue")


@pytest.mark.parametrize(("manifest", "sentence"), [
    ({"DomainType": "ObjectDetection", "Platform": "ONNX"}, "the domain is ObjectDetection"),
    ({"DomainType": "Classification", "Platform": "CoreML"}, "the export is for CoreML"),
])  # fmt: skip
def test_other_custom_vision_exports_are_rejected(tmp_path: Path, manifest: dict[str, str], sentence: str) -> None:
    file = folder_of(tmp_path, {"cvexport.manifest": manifest}, graph(64))
    with pytest.raises(NotExpressibleError, match=sentence):
        read_sources(tmp_path, inspect_file(file))


JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, 1e-320, float("nan"), float("inf"), "", "x", [], [1], [[]], [3, 0, 0],
    ["a"] * 3, {}, {"a": 1}, {"height": 1}, {"height": {}, "width": 3},
]  # fmt: skip


@pytest.mark.parametrize("name", [*sorted(CONFIGS), "config", "timm", "timm-cfg", "custom-vision", "ultralytics"])
def test_any_value_in_any_place_is_read_or_rejected_with_a_clear_message(tmp_path: Path, name: str) -> None:
    wholes: dict[str, dict[str, Any]] = {
        "config": HF["config.json"] | {"model_type": "vit", "problem_type": "x"},
        "timm": TIMM_VIT, "timm-cfg": TIMM_CONVNEXT,
        "custom-vision": {"DomainType": "Classification", "Platform": "ONNX", "LabelFileName": "labels.txt"},
    }  # fmt: skip
    files = {
        "config": "config.json",
        "timm": "config.json",
        "timm-cfg": "config.json",
        "custom-vision": "cvexport.manifest",
    }
    whole = wholes.get(name) or (dict(ULTRALYTICS) if name == "ultralytics" else json.loads(CONFIGS[name]))
    inner = whole.get("pretrained_cfg", whole) if name == "timm-cfg" else whole
    file = save(graph("side"), tmp_path / "net.onnx")
    inspection = inspect_file(file)
    for key in inner:
        for junk in JUNK:
            changed = inner | {key: junk}
            changed = whole | {"pretrained_cfg": changed} if name == "timm-cfg" else changed
            folder = None
            if name == "ultralytics":
                inspection.metadata.update({item: str(value) for item, value in changed.items()})
            else:
                folder = tmp_path
                (tmp_path / files.get(name, "preprocessor_config.json")).write_text(json.dumps(changed))
            try:
                answers, questions = Answers(), dict[str, str]()
                fill(answers, read_sources(folder, inspection), inspection)
                fields = input_fields(inspection, answers, questions)
                if not questions:
                    parse_card(card_of(fields), Path("tiny"))
            except (ModelkitError, CardError) as error:
                assert str(error).endswith((".", ")"))  # noqa: PT017


def add(file: Path, tmp_path: Path, *options: str) -> Result:
    command = ["add", str(file), "--name", "mine", "--models-dir", str(tmp_path / "models"), "--from", str(file.parent)]
    return CliRunner().invoke(app, [*command, *options])


def test_add_needs_no_flag_with_a_complete_folder_and_prints_the_sources(tmp_path: Path) -> None:
    result = add(folder_of(tmp_path, HF, graph("side")), tmp_path)
    assert result.exit_code == 0, result.output
    output = " ".join(result.output.split())
    assert "config.json: transformers ViTForImageClassification --labels (2) red, blue" in output
    assert "preprocessor_config.json: transformers ViTImageProcessor, slow (PIL) --resize bicubic" in output
    assert "--size 128x128" in output
    raw = json.loads((tmp_path / "models" / "mine" / "card.json").read_bytes())
    assert raw["input"]["mean"] == [0.48145466, 0.4578275, 0.40821073]


def test_flags_win_over_files(tmp_path: Path) -> None:
    options = ["--resize", "nearest", "--preprocess", "unit", "--labels", "b,r", "--shortest", "140", "--json"]
    result = add(folder_of(tmp_path, HF, graph("side")), tmp_path, *options)
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["card"]["output"]["labels"] == ["b", "r"]
    assert shown["card"]["input"]["resize"] == {"filter": "nearest", "fit": "crop", "shortest": 140}
    assert shown["card"]["input"]["mean"] == [0, 0, 0]
    assert any("--resize bicubic: not taken, --resize is given" in line for line in shown["taken"])
    assert any("not taken, --preprocess is given" in line for line in shown["taken"])
    assert any("--fit stretch: not taken, --shortest is given" in line for line in shown["taken"])


def test_a_config_of_another_size_than_the_graph_is_rejected(tmp_path: Path) -> None:
    result = add(folder_of(tmp_path, HF, graph(64)), tmp_path)
    assert result.exit_code == 3
    assert "makes images of 128x128, but the graph takes 64x64" in " ".join(result.output.split())


@pytest.mark.parametrize(("files", "sentence"), [
    ({}, "none of preprocessor_config.json"),
    ({"config.json": "[1]"}, "is not a JSON object"),
    ({"preprocessor_config.json": "{"}, "is not valid JSON"),
    ({"preprocessor_config.json": "[" * 100_000}, "is not valid JSON"),
])  # fmt: skip
def test_a_folder_without_configuration_is_reported(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    result = add(folder_of(tmp_path, files, graph("side")), tmp_path)
    assert result.exit_code == 3
    assert sentence in " ".join(result.output.split())
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("name", "resize", "mean"), [
    ("ResNet50_Weights.IMAGENET1K_V2", {"filter": "bilinear", "shortest": 232}, 0.485),
    ("resnet50_weights.imagenet1k_v1", {"filter": "bilinear", "shortest": 256}, 0.485),
    ("Swin_S_Weights.IMAGENET1K_V1", {"filter": "bicubic", "shortest": 246}, 0.485),
])  # fmt: skip
def test_weights_of_torchvision_have_their_documented_transforms(
    tmp_path: Path, name: str, resize: dict[str, Any], mean: float
) -> None:
    """Resize and CenterCrop of a PIL image, then Normalize, by Pillow and NumPy alone."""
    inspection, answers = inspect_file(folder_of(tmp_path, {}, graph("side"))), Answers()
    fill(answers, read_sources(None, inspection, name), inspection)
    fields = input_fields(inspection, answers, {})
    assert fields["resize"] == resize | {"fit": "crop", "crop_offset": "round"}
    assert fields["mean"][0] == mean
    short = resize["shortest"]
    image = Image.fromarray(texture(SIZES["tall"]))
    whole = image.resize((short, short * 333 // 199), Image.Resampling[resize["filter"].upper()])
    left, top = round((whole.width - 224) / 2), round((whole.height - 224) / 2)
    pixels = np.asarray(whole.crop((left, top, left + 224, top + 224)), np.float64)
    expected = ((pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)
    assert np.abs(tensor(fields, texture(SIZES["tall"])) - expected).max() < 1e-5


def test_every_known_name_of_weights_is_a_card_that_fits() -> None:
    for name in TRANSFORMS:
        answers = read_weights(name).answers
        assert answers["shortest"] >= answers["size"][0], name


def test_unknown_weights_are_reported_with_similar_names(tmp_path: Path) -> None:
    inspection = inspect_file(folder_of(tmp_path, {}, graph("side")))
    with pytest.raises(ModelkitError, match=r"perhaps ResNet50_Weights\.IMAGENET1K_V2"):
        read_sources(None, inspection, "ResNet50_Weights.IMAGENET1K_V3")
    with pytest.raises(ModelkitError, match="give it or --from, not both"):
        read_sources(tmp_path, inspection, "ResNet50_Weights.IMAGENET1K_V2")


def test_inspect_shows_files_beside_the_graph(tmp_path: Path) -> None:
    file = folder_of(tmp_path, HF, graph("side"))
    result = CliRunner().invoke(app, ["inspect", str(file)])
    assert result.exit_code == 0, result.output
    assert "preprocessor_config.json: transformers ViTImageProcessor" in result.output
    beside = json.loads(CliRunner().invoke(app, ["inspect", str(file), "--json"]).stdout)["beside"]
    assert any("--size 128x128" in line for line in beside)
