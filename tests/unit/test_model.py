"""The session: held against the card, warmed, and run at any batch size."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pictures
import pytest
from loupe.card import CardError, load_card
from loupe.classifier import Classifier
from loupe.errors import ModelFailed
from loupe.model import Model, session_options
from loupe.stages import Stages
from onnx import TensorProto
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
    assert classifier.classify(pictures.jpeg(pictures.solid(pictures.RED))).label == "red"
    assert classifier.classify(pictures.png(pictures.solid(pictures.BLUE))).label == "blue"


def test_the_stages_are_timed_in_order(classifier: Classifier) -> None:
    stages = Stages()
    classifier.classify(pictures.jpeg(), stages)
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
    assert Classifier.load(directory).classify(pictures.jpeg(pictures.solid(pictures.RED))).label == "red"


def test_channels_last(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "m", graph(("batch", SIDE, SIDE, 3)), input={"layout": "NHWC"})
    assert Classifier.load(directory).classify(pictures.jpeg(pictures.solid(pictures.BLUE))).label == "blue"


def test_every_status_of_onnx_runtime_is_told_as_a_card_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that may not be read give this status, among stranger ones."""
    directory = write_model(tmp_path / "m", graph())

    def refuse(*_: object, **__: object) -> None:
        raise ort.capi.onnxruntime_pybind11_state.ModelRequiresCompilation("Permission denied")

    monkeypatch.setattr(ort, "InferenceSession", refuse)
    with pytest.raises(CardError, match="cannot be loaded by ONNX Runtime: Permission denied"):
        Classifier.load(directory)


@pytest.mark.parametrize(("data", "changes", "sentence"), [
    (graph(input_name="x"), {}, "says input 'input', but model.onnx has 'x'"),
    (graph(output_name="y"), {}, "says output 'output', but model.onnx has 'y'"),
    (graph(extra_input=True), {}, "can feed one input, but model.onnx has 'input', 'mask'"),
    (graph(dtype=TensorProto.FLOAT16), {}, r"says dtype float32, but input 'input' is tensor\(float16\)"),
    (graph(), {"input": {"width": 24}}, "check width, height, layout and color"),
    (graph(), {"input": {"height": 24}}, r"says NCHW \('batch', 3, 24, 20\)"),
    (graph(), {"input": {"layout": "NHWC"}}, "check width, height, layout and color"),
    (graph(), {"input": {"color": "L"}}, "check width, height, layout and color"),
    (graph(outputs=3), {}, "which needs 1 number.* gives 3"),
    (graph(), {"output": {"kind": "logits"}}, "'logits' with 2 labels, which needs 2 number.* gives 1"),
    (b"this is no graph", {}, "cannot be loaded by ONNX Runtime"),
    (graph()[:200], {}, "cannot be loaded by ONNX Runtime"),
    (b"", {}, "cannot be loaded by ONNX Runtime"),
])  # fmt: skip
def test_a_card_that_disagrees_with_its_graph_is_refused(
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


def test_an_output_that_is_no_number_is_the_models_failure(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="not a number"):
        load(tmp_path / "m", graph(weight=float("nan")))


def test_loading_runs_the_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    run = Model.run
    monkeypatch.setattr(Model, "run", lambda self, batch: seen.append(batch) or run(self, batch))
    load(tmp_path / "m")
    assert [batch.shape for batch in seen] == [(1, 3, SIDE, SIDE)]


def test_the_session_gets_the_threads_it_is_told() -> None:
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
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Look())
__import__(sys.argv[1])
"""


@pytest.mark.parametrize("module", ["loupe.model", "modelkit.latency", "modelkit.optimizing", "benchmarks.subjects"])
def test_onnx_runtime_is_told_to_report_to_nobody_before_it_is_imported(module: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    run = subprocess.run(
        [sys.executable, "-c", LOOK, module], env=variables, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["1"]
