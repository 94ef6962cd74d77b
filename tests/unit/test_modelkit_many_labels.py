"""A model of a thousand labels is evaluated in seconds, and its report is read on a screen."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_zoo import COLORS, write_image
from typer.testing import CliRunner, Result

from modelkit.cli import app
from modelkit.metrics import top_confusions

LABELS = [
    *COLORS,
    *(f"class {number:03}, with a name that is long enough to fill a line alone" for number in range(997)),
]


def thousand(path: Path) -> Path:
    weights = np.zeros((3, 1000), np.float32)
    weights[range(3), range(3)] = 8
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "thousand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1000])],
        [numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    result = run(
        "add", str(thousand(tmp_path / "net.onnx")), "--name", "thousand", "--labels-file",
        str(tmp_path / "labels.json"), "--preprocess", "unit", "--resize", "bilinear", models=tmp_path / "models",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for label in COLORS:
        for number in range(4):
            write_image(tmp_path / "photos", label, number)
    # Green photos in another label's folder are mistakes to be listed.
    (tmp_path / "photos" / LABELS[500]).mkdir()
    for number in range(3):
        path = write_image(tmp_path, "green", 10 + number)
        path.rename(tmp_path / "photos" / LABELS[500] / path.name)
    return tmp_path / "models"


def run(*arguments: str, models: Path) -> Result:
    return CliRunner().invoke(app, [*arguments, "--models-dir", str(models)])


def test_the_report_fits_on_a_screen(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkit.latency.SECONDS", 0.05)
    start = time.process_time()
    html = tmp_path / "report.html"
    result = run("evaluate", "thousand", str(tmp_path / "photos"), "--html", str(html), models=models)
    assert result.exit_code == 0, result.output
    assert time.process_time() - start < 30
    lines = result.stdout.splitlines()
    assert len(lines) < 40
    assert all(line.strip() for line in lines)
    assert "accuracy 0.8000" in result.output
    assert "Most frequent mistakes" in result.output
    assert "996 without any" in result.output
    page = html.read_text()
    assert page.count("<svg") == 2, "no plot of a million cells"
    assert "<details><summary>All 1000 labels, least recall first" in page
    assert len(page) < 400_000


def test_json_has_the_mistakes_and_no_matrix_of_a_million_numbers(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelkit.latency.SECONDS", 0.05)
    value = json.loads(run("evaluate", "thousand", str(tmp_path / "photos"), "--json", models=models).stdout)
    assert "confusion" not in value
    assert value["top_confusions"] == [{"truth": LABELS[500], "predicted": "green", "count": 3}]
    assert value["classes"]["green"]["recall"] == 1


def test_messages_list_a_few_labels_of_a_thousand(tmp_path: Path, models: Path) -> None:
    (tmp_path / "other" / "stranger").mkdir(parents=True)
    result = run("evaluate", "thousand", str(tmp_path / "other"), models=models)
    assert result.exit_code == 3
    assert "and 990 more" in result.output
    assert len(result.output) < 1500


def test_mistakes_are_ordered_by_count() -> None:
    confusion = np.array([[5, 1, 0], [3, 2, 0], [0, 1, 0]])
    assert top_confusions(confusion, 2) == [(1, 0, 3), (0, 1, 1)]
