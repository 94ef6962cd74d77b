"""The session: compared with the card, warmed up, and run at any batch size."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import images
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from loupe.card import CardError, load_card
from loupe.classifier import Classifier
from loupe.errors import ModelFailed
from loupe.model import Model, session_options
from loupe.stages import Stages
from onnx import TensorProto, helper
from tinymodel import SIDE, graph, write_model

ROOT = Path(__file__).resolve().parents[2]


def load(directory: Path, data: bytes | None = None, **changes: Any) -> Model:
    return Model.load(load_card(write_model(directory, data, **changes)))


def batch_of(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).random((count, 3, SIDE, SIDE), np.float32)


def by_hand(batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    means = batch.astype(np.float64).mean((2, 3))
    return (4 * means[:, :1] - 4 * means[:, 2:]).astype(np.float32)


def test_it_classifies(classifier: Classifier) -> None:
    assert classifier.classify(images.jpeg(images.solid(images.RED))).label == "red"
    assert classifier.classify(images.png(images.solid(images.BLUE))).label == "blue"


def test_the_stages_are_timed_in_order(classifier: Classifier) -> None:
    stages = Stages()
    classifier.classify(images.jpeg(), stages)
    assert list(stages.milliseconds) == ["decode", "tensor", "model"]
    assert all(value > 0 for value in stages.milliseconds.values())
    assert sum(stages.milliseconds.values()) <= stages.total()
    names = [part.split(";dur=")[0] for part in stages.server_timing().split(", ")]
    assert names == ["decode", "tensor", "model", "total"]


def test_a_stage_entered_twice_adds_up_and_survives_errors() -> None:
    stages = Stages()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), stages("decode"):
            1 / 0  # noqa: B018
    assert list(stages.milliseconds) == ["decode"]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_dynamic_batch_is_run_at_once(tmp_path: Path, count: int) -> None:
    model = load(tmp_path / "m")
    assert model.static_batch is None
    rows = model.run(batch_of(count))
    assert rows.dtype == np.float32
    assert rows.shape == (count, 1)
    assert np.allclose(rows, by_hand(batch_of(count)), atol=1e-5)


@pytest.mark.parametrize("static", [1, 4])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 8])
def test_a_static_batch_is_cut_and_padded(tmp_path: Path, static: int, count: int) -> None:
    model = load(tmp_path / "m", graph((static, 3, SIDE, SIDE)))
    assert model.static_batch == static
    assert np.allclose(model.run(batch_of(count)), by_hand(batch_of(count)), atol=1e-5)


@pytest.mark.parametrize(("dtype", "name"), [(TensorProto.FLOAT16, "float16"), (TensorProto.UINT8, "uint8")])
def test_other_element_types(tmp_path: Path, dtype: int, name: str) -> None:
    scale = {"scale": 1} if name == "uint8" else {}
    directory = write_model(tmp_path / "m", graph(dtype=dtype), input={"dtype": name, **scale})
    assert Classifier.load(directory).classify(images.jpeg(images.solid(images.RED))).label == "red"


def test_channels_last(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "m", graph(("batch", SIDE, SIDE, 3)), input={"layout": "NHWC"})
    assert Classifier.load(directory).classify(images.jpeg(images.solid(images.BLUE))).label == "blue"


def test_every_onnx_runtime_status_is_a_card_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreadable weights cause this status, among others."""
    directory = write_model(tmp_path / "m", graph())

    def fail(*_: object, **__: object) -> None:
        raise ort.capi.onnxruntime_pybind11_state.ModelRequiresCompilation("Permission denied")

    monkeypatch.setattr(ort, "InferenceSession", fail)
    with pytest.raises(CardError, match="cannot be loaded by ONNX Runtime: Permission denied"):
        Classifier.load(directory)


@pytest.mark.parametrize(("data", "changes", "sentence"), [
    (graph(input_name="x"), {}, "says input 'input', but model.onnx has 'x'"),
    (graph(output_name="y"), {}, "says output 'output', but model.onnx has 'y'"),
    (graph(extra_input=True), {}, "can feed one input, but model.onnx has 'input', 'mask'"),
    (graph(dtype=TensorProto.FLOAT16), {}, r"says dtype float32, but input 'input' is tensor\(float16\)"),
    (graph(), {"input": {"width": 24}}, "check width, height, layout, flatten and color"),
    (graph(), {"input": {"height": 24}}, r"says NCHW \('batch', 3, 24, 20\)"),
    (graph(), {"input": {"layout": "NHWC"}}, "check width, height, layout, flatten and color"),
    (graph(), {"input": {"color": "L"}}, "check width, height, layout, flatten and color"),
    (graph(outputs=3), {}, "which needs 1 number.* gives 3"),
    (graph(), {"output": {"kind": "logits"}}, "'logits' with 2 labels, which needs 2 number.* gives 1"),
    (b"this is not a graph", {}, "cannot be loaded by ONNX Runtime"),
    (graph()[:200], {}, "cannot be loaded by ONNX Runtime"),
    (b"", {}, "has 0 bytes where the card says 1"),
])  # fmt: skip
def test_card_that_disagrees_with_its_graph_is_rejected(
    tmp_path: Path, data: bytes, changes: Any, sentence: str
) -> None:
    with pytest.raises(CardError, match=sentence) as caught:
        load(tmp_path / "m", data, **changes)
    assert str(caught.value).startswith("m: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "m")
    (directory / "model.onnx").unlink()
    with pytest.raises(CardError, match=r"m: model\.onnx is missing in m/.*modelkit fetch m"):
        Model.load(load_card(directory))


def test_nan_output_is_model_failed(tmp_path: Path) -> None:
    model = load(tmp_path / "m", graph(weight=float("nan")))
    with pytest.raises(ModelFailed, match="not a number"):
        model.run(batch_of(1))


@pytest.mark.parametrize("static", [None, 4])
def test_loading_runs_the_model_once_on_a_ramp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, static: int | None
) -> None:
    batches = []
    run = Model._run
    monkeypatch.setattr(Model, "_run", lambda self, batch: batches.append(batch) or run(self, batch))
    load(tmp_path / "m", graph((static or "batch", 3, SIDE, SIDE)))
    (batch,) = batches
    assert batch.shape == (static or 1, 3, SIDE, SIDE)
    assert batch[0].std() > 0.1


def standardizing() -> bytes:
    """A graph that subtracts each image's mean and divides by its deviation: NaN where all pixels are equal."""
    return graph_of(
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3]),
            helper.make_node("Sub", ["input", "mean"], ["centred"]),
            helper.make_node("Mul", ["centred", "centred"], ["squares"]),
            helper.make_node("ReduceMean", ["squares"], ["variance"], axes=[1, 2, 3]),
            helper.make_node("Sqrt", ["variance"], ["deviation"]),
            helper.make_node("Div", ["centred", "deviation"], ["standard"]),
            helper.make_node("GlobalMaxPool", ["standard"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("ReduceMax", ["flat"], ["output"], axes=[1]),
        ]
    )


def graph_of(nodes: list[Any], batch: int | str = "batch") -> bytes:
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, 1])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    data: bytes = model.SerializeToString()
    return data


def test_a_graph_that_standardizes_each_image_is_a_valid_model(tmp_path: Path) -> None:
    model = load(tmp_path / "m", standardizing())
    assert np.isfinite(model.run(batch_of(3))).all()
    with pytest.raises(ModelFailed):
        model.run(np.zeros((1, 3, SIDE, SIDE), np.float32))


def test_a_graph_that_is_not_a_number_on_the_ramp_alone_is_a_valid_model(tmp_path: Path) -> None:
    """For any warm-up image some graph is undefined: 0/0 where the first pixel is 0."""
    nodes = [
        helper.make_node("ReduceMin", ["input"], ["least"], axes=[1, 2, 3]),
        helper.make_node("Div", ["least", "least"], ["one"]),
        helper.make_node("Flatten", ["one"], ["output"]),
    ]
    model = load(tmp_path / "m", graph_of(nodes))
    assert model.run(batch_of(2) + 0.5).ravel().tolist() == [1, 1]


@pytest.mark.parametrize(("nodes", "sentence"), [
    ([helper.make_node("Flatten", ["input"], ["output"])], "needs 1 number.* gives 1200"),
    ([helper.make_node("ReduceMax", ["input"], ["most"], axes=[0, 1, 2, 3]),
      helper.make_node("Flatten", ["most"], ["flat"]),
      helper.make_node("Concat", ["flat", "flat"], ["output"], axis=1)], "needs 1 number.* gives 2"),
])  # fmt: skip
def test_graph_with_another_output_count_than_declared_is_rejected(
    tmp_path: Path, nodes: list[Any], sentence: str
) -> None:
    data = onnx.load_from_string(graph_of(nodes))
    data.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "open"
    with pytest.raises(CardError, match=sentence):
        load(tmp_path / "m", data.SerializeToString())


def depending(batch: int | str) -> bytes:
    """A graph whose output depends on its whole run: each image's maximum, divided by the largest of the run."""
    return graph_of(
        [
            helper.make_node("GlobalMaxPool", ["input"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("ReduceMax", ["flat"], ["most"], axes=[1]),
            helper.make_node("ReduceMax", ["flat"], ["largest"], axes=[0, 1]),
            helper.make_node("Div", ["most", "largest"], ["output"]),
        ],
        batch,
    )


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_a_graph_whose_images_depend_on_each_other_is_run_one_image_at_a_time(tmp_path: Path, batch: int | str) -> None:
    inputs = batch_of(6) * np.arange(1, 7, dtype=np.float32).reshape(-1, 1, 1, 1)
    together = load(tmp_path / "together", depending(batch))
    model = load(tmp_path / "m", depending(batch), output={"independent": False})
    assert np.allclose(model.run(inputs), 1)
    assert np.allclose([model.run(image[None])[0] for image in inputs], 1)
    assert np.allclose(model.run_together(inputs), together.run(inputs))
    if batch != 1:
        assert not np.allclose(together.run(inputs), 1)


def test_padding_does_not_change_the_result_of_an_image(tmp_path: Path) -> None:
    """Zeros would: every output of this graph is the smallest of the run."""
    nodes = [
        helper.make_node("ReduceMin", ["input"], ["least"], axes=[0, 1, 2, 3]),
        helper.make_node("Sub", ["input", "least"], ["above"]),
        helper.make_node("ReduceMin", ["above"], ["lowest"], axes=[1, 2, 3]),
        helper.make_node("Flatten", ["lowest"], ["output"]),
    ]
    model = load(tmp_path / "m", graph_of(nodes, 4))
    assert model.run(batch_of(1) + 3).ravel().tolist() == [0]


def test_session_uses_the_configured_threads() -> None:
    options = session_options(3)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_one_session_serves_several_threads(tmp_path: Path) -> None:
    model = load(tmp_path / "m")
    batches = [batch_of(count) for count in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(model.run, batches * 4))
    for batch, rows in zip(batches * 4, results, strict=True):
        assert np.allclose(rows, by_hand(batch), atol=1e-5)


LOOK = """
import os, sys

class Look:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Look())
__import__(sys.argv[1])
"""


@pytest.mark.parametrize("module", ["loupe.model", "modelkit.latency", "modelkit.optimizing", "benchmarks.subjects"])
def test_onnx_runtime_telemetry_is_disabled_before_the_import(module: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    run = subprocess.run(
        [sys.executable, "-c", LOOK, module], env=variables, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["1"]
