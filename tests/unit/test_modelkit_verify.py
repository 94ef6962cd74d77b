"""Every mistake gets a failing line that says what to change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_zoo import classifier, save, write_image
from typer.testing import CliRunner

from modelkit.adding import Answers, add
from modelkit.checks import Check, passed
from modelkit.cli import app
from modelkit.folders import describe_file, write_card
from modelkit.golden import Golden
from modelkit.quantize.int8 import int8_dynamic
from modelkit.verify import verify


def make(tmp_path: Path, name: str = "mine", *, golden: bool = True, external: str | None = None, **graph: Any) -> Path:
    """A folder with the zoo's red-or-blue model, and a golden image of each."""
    file = save(classifier(**graph), tmp_path / "source" / "net.onnx", external=external)
    cases = tuple(Golden(write_image(tmp_path, label), label) for label in ("red", "blue")) if golden else ()
    answers = Answers(labels=("red", "blue"), preprocess="unit", resize="bilinear", golden=cases)
    return add(file, tmp_path / "models", name, answers)


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    raw = json.loads((folder / "card.json").read_bytes())
    change(raw)
    write_card(folder, raw)


def failures(folder: Path) -> list[Check]:
    return [check for check in verify(folder) if check.status == "fail"]


def findings(folder: Path) -> str:
    return " ".join(f"{check.detail} {check.fix}" for check in failures(folder))


def test_a_right_model_passes_every_check(tmp_path: Path) -> None:
    checks = verify(make(tmp_path))
    assert passed(checks)
    names = [check.name for check in checks]
    assert names == [
        "card", "file model.onnx", "graph", "finite", "range", "batch", "repetition", "golden golden/red-0.png",
        "golden golden/blue-0.png",
    ]  # fmt: skip
    assert [check.name for check in verify(tmp_path / "models" / "mine", cheap=True)] == ["card", "file model.onnx"]


def test_a_model_without_golden_cases_passes_with_a_warning(tmp_path: Path) -> None:
    last = verify(make(tmp_path, golden=False))[-1]
    assert (last.name, last.status) == ("golden", "warn")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda raw: raw.update(extra=1), "extra is not a known key"),
        (lambda raw: raw.update(name="other"), "The card says 'other', its folder is 'mine'"),
        (lambda raw: raw["input"].update(layout="NHWC"), "says NHWC"),
        (lambda raw: raw["input"].update(width=224, height=224), "224"),
        (lambda raw: raw["input"].update(dtype="float16"), "says dtype float16, but input 'image' is tensor(float)"),
        (lambda raw: raw["input"].update(name="x"), "says input 'x', but model.onnx has 'image'"),
        (lambda raw: raw["output"].update(name="y"), "says output 'y', but model.onnx has 'scores'"),
        (lambda raw: raw["output"].update(kind="logits"), "needs 2 number(s) for an image, but output"),
        (lambda raw: raw["output"].update(kind="probability"), "no sigmoid was applied"),
        (lambda raw: raw["files"][0].update(bytes=3), "bytes where the card says 3"),
        (lambda raw: raw["files"][0].update(sha256="0" * 64), "not the card's 000"),
        (lambda raw: raw["golden"][0].update(image="golden/none.jpg"), "golden/none.jpg is missing"),
    ],
)  # fmt: skip
def test_an_invalid_card_is_reported(tmp_path: Path, change: Callable[[Any], None], sentence: str) -> None:
    folder = make(tmp_path)
    edit(folder, change)
    assert sentence in findings(folder)
    result = CliRunner().invoke(app, ["verify", "mine", "--models-dir", str(folder.parent)])
    assert result.exit_code == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("change", "suggestion"),
    [
        (lambda raw: raw["input"].update(color="BGR"), "input.color 'RGB'"),
        (lambda raw: raw["input"].update(scale=1), "preprocessing 'unit'"),
        (
            lambda raw: raw["input"].update(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
            "preprocessing 'unit'",
        ),
        (lambda raw: raw["output"].update(labels=["blue", "red"]), "output.labels ['red', 'blue']"),
    ],
)
def test_wrong_preprocessing_is_diagnosed_by_golden_cases(
    tmp_path: Path, change: Callable[[Any], None], suggestion: str
) -> None:
    folder = make(tmp_path)
    edit(folder, change)
    assert suggestion in findings(folder)


def test_a_wrong_filter_is_diagnosed_by_golden_cases(tmp_path: Path) -> None:
    """Stripes of one pixel: nearest sees one colour of them, bilinear their mean."""
    folder = make(tmp_path)
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[:, 0::2] = (230, 20, 20)
    pixels[:, 1::2] = (20, 20, 235)
    from PIL import Image

    Image.fromarray(pixels).save(folder / "golden" / "stripes.png")
    raw = json.loads((folder / "card.json").read_bytes())
    raw["golden"] = [{"image": "golden/stripes.png", "label": "blue", "probability": 0.5, "tolerance": 0.01}]
    write_card(folder, raw)
    detail = next(check.detail for check in verify(folder) if check.name.startswith("golden"))
    raw["golden"][0]["probability"] = float(detail.split()[1].rstrip(","))
    write_card(folder, raw)
    if passed(verify(folder)):
        raw["input"]["resize"]["filter"] = "nearest"
        write_card(folder, raw)
    assert "input.resize.filter 'bilinear'" in findings(folder)


def test_a_double_sigmoid_is_detected(tmp_path: Path) -> None:
    folder = make(tmp_path, end="Sigmoid")
    edit(folder, lambda raw: raw["output"].update(kind="logit"))
    assert "sigmoid would be applied twice" in findings(folder)
    assert "Set output.kind to 'probability'" in findings(folder)


def test_external_data_that_is_missing_truncated_renamed_or_unlisted_is_reported(tmp_path: Path) -> None:
    folder = make(tmp_path, external="net.onnx.data")
    data = folder / "net.onnx.data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-8])
    assert "net.onnx.data is cut off" in findings(folder)
    data.write_bytes(whole)
    data.rename(folder / "model.onnx.data")
    assert "rename model.onnx.data to net.onnx.data" in findings(folder)
    (folder / "model.onnx.data").unlink()
    assert "net.onnx.data is missing in mine/" in findings(folder)
    data.write_bytes(whole)
    edit(folder, lambda raw: raw["files"].pop())
    assert "which the card does not list" in findings(folder)


def replace_graph(folder: Path, proto: Any) -> None:
    save(proto, folder / "model.onnx")
    edit(folder, lambda raw: raw.update(files=[describe_file(folder, "model.onnx")]))


def test_weights_that_are_not_finite_are_detected(tmp_path: Path) -> None:
    folder = make(tmp_path, golden=False)
    proto = classifier()
    broken = numpy_helper.from_array(np.array([np.nan], np.float32), "down_bias")
    next(tensor for tensor in proto.graph.initializer if tensor.name == "down_bias").CopyFrom(broken)
    replace_graph(folder, proto)
    assert [check.name for check in failures(folder)] == ["finite"]


def test_a_random_operator_in_the_graph_is_detected(tmp_path: Path) -> None:
    folder = make(tmp_path, golden=False)
    proto = classifier()
    proto.graph.node[-1].output[0] = "clean"
    proto.graph.node.extend(
        [
            helper.make_node("RandomNormalLike", ["clean"], ["noise"], scale=0.5),
            helper.make_node("Add", ["clean", "noise"], ["scores"]),
        ]
    )
    replace_graph(folder, proto)
    assert {check.name for check in failures(folder)} >= {"repetition"}


def test_images_that_affect_each_other_in_a_batch_are_detected(tmp_path: Path) -> None:
    folder = make(tmp_path, golden=False)
    proto = classifier()
    proto.graph.node[-1].output[0] = "clean"
    proto.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["clean"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["clean", "mean"], ["centred"]),
            helper.make_node("Sum", ["centred", "clean"], ["scores"]),
        ]
    )
    replace_graph(folder, proto)
    assert [check.name for check in failures(folder)] == ["batch"]


def test_independent_probabilities_are_a_warning(tmp_path: Path) -> None:
    file = save(classifier("Sigmoid", outputs=3), tmp_path / "net.onnx")
    answers = Answers(labels=("red", "green", "blue"), preprocess="unit", resize="bilinear", kind="probabilities")
    checks = verify(add(file, tmp_path / "models", "mine", answers))
    assert passed(checks)
    assert "do not add up to 1" in next(check.detail for check in checks if check.status == "warn")


def test_a_card_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "card.json").write_text("{")
    assert len(verify(folder)) == 1
    assert "is not valid JSON" in findings(folder)


def test_all_models_are_verified_where_none_is_named(tmp_path: Path) -> None:
    folder = make(tmp_path)
    shutil.copytree(folder, folder.parent / "second")
    edit(folder.parent / "second", lambda raw: raw.update(name="second"))
    # A card whose weights are fetched, and have not been, is not a failure.
    absent = folder.parent / "absent"
    shutil.copytree(folder, absent)
    edit(
        absent, lambda raw: (raw.update(name="absent"), raw["files"][0].update(urls=["https://example.com/model.onnx"]))
    )
    (absent / "model.onnx").unlink()
    result = CliRunner().invoke(app, ["verify", "--json", "--models-dir", str(folder.parent)])
    assert result.exit_code == 0
    value = json.loads(result.stdout)
    assert value["passed"]
    assert set(value["models"]) == {"mine", "second"}


def test_an_unknown_model_is_rejected_with_the_existing_ones(tmp_path: Path) -> None:
    folder = make(tmp_path)
    result = CliRunner().invoke(app, ["verify", "other", "--models-dir", str(folder.parent)])
    assert result.exit_code == 3
    assert "(there: mine)" in result.output


def test_float16_and_uint8_models_verify(tmp_path: Path) -> None:
    for dtype, gain in ((TensorProto.FLOAT16, 4.0), (TensorProto.UINT8, 0.04)):
        file = save(classifier(dtype=dtype, gain=gain), tmp_path / "net.onnx")
        preprocess = "raw" if dtype == TensorProto.UINT8 else "unit"
        answers = Answers(labels=("red", "blue"), preprocess=preprocess, resize="bilinear")
        assert passed(verify(add(file, tmp_path / "models", f"m{dtype}", answers)))


def dynamic(tmp_path: Path, *, batch: int | None = None) -> Path:
    """The zoo's model with its layer quantized dynamically: one scale of activations for a whole run."""
    options = {} if batch is None else {"batch": batch}
    proto = int8_dynamic(classifier(**options))
    assert "DynamicQuantizeLinear" in {node.op_type for node in proto.graph.node}
    return save(proto, tmp_path / "source" / "dynamic.onnx")


@pytest.mark.parametrize("batch", [None, 4])
def test_a_dynamically_quantized_graph_is_served_one_image_at_a_time(tmp_path: Path, batch: int | None) -> None:
    answers = Answers(labels=("red", "blue"), preprocess="unit", resize="bilinear")
    folder = add(dynamic(tmp_path, batch=batch), tmp_path / "models", "mine", answers)
    assert json.loads((folder / "card.json").read_bytes())["output"]["independent"] is False
    (check,) = [check for check in verify(folder) if check.name == "batch"]
    assert check.status == "pass"
    assert "each image is run alone. DynamicQuantizeLinear takes one scale" in check.detail

    edit(folder, lambda raw: raw["output"].pop("independent"))
    (failure,) = failures(folder)
    assert failure.name == "batch"
    assert "DynamicQuantizeLinear takes one scale for all images of a run" in failure.detail
    assert "Set output.independent to false" in failure.fix


def test_a_fixed_batch_of_one_shares_no_run(tmp_path: Path) -> None:
    answers = Answers(labels=("red", "blue"), preprocess="unit", resize="bilinear")
    folder = add(dynamic(tmp_path, batch=1), tmp_path / "models", "mine", answers)
    edit(folder, lambda raw: raw["output"].pop("independent"))
    assert failures(folder) == []


def test_a_card_may_declare_that_images_depend_on_each_other(tmp_path: Path) -> None:
    folder = make(tmp_path)
    edit(folder, lambda raw: raw["output"].update(independent=False))
    assert failures(folder) == []
    assert "each image is run alone. The card says so" in str([check.detail for check in verify(folder)])


def test_a_model_that_is_undefined_for_a_single_colour_passes_with_a_warning(tmp_path: Path) -> None:
    proto = classifier()
    graph = proto.graph
    source = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["standard" if name == source else name for name in node.input]
    first = [
        helper.make_node("ReduceMean", [source], ["mean"], axes=[1, 2, 3]),
        helper.make_node("Sub", [source, "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "centred"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["variance"], axes=[1, 2, 3]),
        helper.make_node("Sqrt", ["variance"], ["deviation"]),
        helper.make_node("Div", ["centred", "deviation"], ["standard"]),
    ]
    nodes = [*first, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    file = save(proto, tmp_path / "net.onnx")
    answers = Answers(labels=("red", "blue"), preprocess="unit", resize="bilinear")
    checks = verify(add(file, tmp_path / "models", "mine", answers))
    assert passed(checks)
    assert "single colour gives no number" in next(check.detail for check in checks if check.status == "warn")
