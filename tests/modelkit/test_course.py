"""The course's architecture, 80 MB, through the whole kit: smaller, faster, and still as good."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from kit import run, shared
from loupe.card import load_card
from onnx import numpy_helper

from modelkit.evaluation import compare
from modelkit.folders import describe_file, write_card
from modelkit.inspection import inspect_file
from modelkit.labelled_images import find_images
from modelkit.verify import verify

LARGEST = 13_000_000


@pytest.fixture(scope="session")
def picked(course_models: Path) -> str:
    """Name of the variant that `quantize --scheme auto` picked."""
    names = {path.name for path in course_models.iterdir()} - {"course"}
    assert len(names) == 1
    return names.pop()


def test_the_published_graph_is_inspected_without_its_weights() -> None:
    result = run("inspect", shared("course/hair_classifier_v1.onnx"))
    assert result.exit_code == 0
    for part in (
        "output 'output': float32", "200x200 pixels, 3 channel(s), layout NCHW", "read as: logit",
        "parameters: 20,073,473", "hair_classifier_v1.onnx.data is missing", "fetch hair-type-course",
    ):  # fmt: skip
        assert part in result.output
    card = load_card(Path(__file__).parents[2] / "models" / "hair-type-course")
    assert inspect_file(shared("course/hair_classifier_v1.onnx")).external[0].needed_bytes == card.files[1].bytes


def test_it_verifies(course_models: Path) -> None:
    result = run("verify", "course", "--models-dir", course_models)
    assert result.exit_code == 0, result.output


def test_the_variant_is_small_and_exact(course_models: Path, picked: str) -> None:
    """Photos that neither calibration nor the choice has seen. How much faster it is stands in docs/quantization.md."""
    base, variant = load_card(course_models / "course"), load_card(course_models / picked)
    photos = find_images(shared("hair/validation"), base.output.labels)
    comparison = compare(variant, base, photos)
    assert comparison.model.cost.bytes <= LARGEST
    assert len(variant.files) == 1
    assert comparison.agreement >= 0.97
    assert comparison.shifts.max() <= 0.03
    assert comparison.label_changes(0.03) == []


def test_the_gate_passes_it_and_rejects_a_damaged_one(course_models: Path, picked: str) -> None:
    photos = shared("hair/validation")
    common = ["--against", "course", "--images", photos, "--models-dir", course_models, "--json"]
    passed = run("gate", picked, *common)
    assert passed.exit_code == 0, passed.output
    folder = course_models / "damaged"
    folder.mkdir()
    proto = onnx.load(course_models / picked / "model.onnx")
    scales = next(tensor for tensor in proto.graph.initializer if tensor.name.endswith("_scales"))
    values = numpy_helper.to_array(scales).copy()
    values[::3] *= np.float32(-1)
    scales.CopyFrom(numpy_helper.from_array(values, scales.name))
    onnx.save(proto, folder / "model.onnx")
    raw = dict(load_card(course_models / picked).raw)
    write_card(folder, raw | {"name": "damaged", "files": [describe_file(folder, "model.onnx")]})
    rejected = run("gate", "damaged", *common)
    assert rejected.exit_code == 1
    failed = {check["name"] for check in json.loads(rejected.stdout)["checks"] if check["status"] == "fail"}
    assert {"agreement", "probability shift"} <= failed


def test_quantization_is_deterministic(course_models: Path, picked: str) -> None:
    before = load_card(course_models / picked)
    block = before.raw["quantization"]["block_size"]
    options = ["--scheme", "int4-weights", "--block-size", block, "--images", shared("hair/validation"), "--replace"]
    again = run("quantize", "course", *options, "--even-if-worse", "--models-dir", course_models)
    assert again.exit_code == 0, again.output
    assert load_card(course_models / "course-int4-weights").files == before.files


def test_the_shipped_model_is_quantized_only_if_that_is_better(tmp_path: Path) -> None:
    """Whichever it is: what `auto` keeps verifies; where it keeps nothing, it says why for each scheme."""
    import shutil

    models = tmp_path / "models"
    project = Path(__file__).parents[2] / "models" / "hair-type"
    shutil.copytree(project, models / "hair-type")
    photos = ["--calibration", shared("hair/train"), "--images", shared("hair/validation")]
    result = run("quantize", "hair-type", *photos, "--models-dir", models, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == (0 if report["kept"] else 1)
    if report["kept"]:
        assert all(check.status != "fail" for check in verify(models / report["kept"]))
    else:
        assert all(trial["reason"] for trial in report["trials"])
