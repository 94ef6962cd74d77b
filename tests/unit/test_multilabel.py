"""Models whose images may have several labels: card, prediction, answers, metrics, evaluation and gate."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from events import Context, base64_of, body_of, json_body, rest
from fakes import make_app
from loupe.card import CardError, OutputSpec, load_card
from loupe.classifier import Classifier
from loupe.prediction import read
from loupe.settings import MetricsRules
from onnx import TensorProto, helper, numpy_helper
from onnx_zoo import save
from PIL import Image
from typer.testing import CliRunner, Result

from modelkit.cli import app
from modelkit.evaluation import compare
from modelkit.labelled_images import find_multilabel
from modelkit.metrics import average_precision, f1_scores
from tools.contract.schemas import ANSWERS

LABELS = ("red", "green", "blue")
PIXELS = {
    "none": (10, 10, 10), "red": (240, 10, 10), "blue": (10, 10, 240), "yellow": (240, 240, 10),
    "white": (240, 240, 240),
}  # fmt: skip
TRUTH = {"none": "", "red": "red", "blue": "blue", "yellow": "red|green", "white": "red|green|blue"}


def graph(*, end: str | None = None, gain: float = 12.0) -> onnx.ModelProto:
    """A label for each channel whose mean is above a half, independent of the others."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["numbers" if end else "scores"]),
        *([helper.make_node(end, ["numbers"], ["scores"])] if end else []),
    ]
    weights = {"w": gain * np.eye(3, dtype=np.float32), "b": np.full(3, -gain / 2, np.float32)}
    proto = helper.make_graph(
        nodes,
        "multilabel",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def photo(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    Image.new("RGB", (24, 20), PIXELS[name]).save(path)
    return path


def photos(folder: Path) -> Path:
    rows = [f"{photo(folder, name).name},{labels}" for name, labels in TRUTH.items()]
    (folder / "labels.csv").write_text("image,labels\n" + "\n".join(rows) + "\n")
    return folder


def run(*arguments: str, models: Path) -> Result:
    return CliRunner().invoke(app, [*arguments, "--models-dir", str(models)])


def add(tmp_path: Path, *options: str, name: str = "several", **changes: Any) -> Result:
    file = save(graph(**changes), tmp_path / f"{name}.onnx")
    arguments = ["--name", name, "--labels", ",".join(LABELS), "--preprocess", "unit", "--resize", "bilinear"]
    return run("add", str(file), *arguments, *options, models=tmp_path / "models")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    result = add(tmp_path, "--kind", "multilabel-logits")
    assert result.exit_code == 0, result.output
    return tmp_path / "models" / "several"


def test_each_label_has_its_own_sigmoid_and_threshold() -> None:
    spec = OutputSpec("y", "multilabel-logits", LABELS, 2.0, thresholds=(0.5, 0.9, 0.2))
    prediction = read([2.0, 2.0, -1.0], spec)
    assert dict(prediction.scores)["red"] == pytest.approx(1 / (1 + math.exp(-1)))
    assert prediction.labels == ("red", "blue")
    assert (prediction.label, prediction.assigned_labels) == ("red", ("red", "blue"))
    none = read([0.1, 0.2, 0.15], spec._replace(kind="multilabel-probabilities"))
    assert (none.labels, none.assigned_labels) == ((), ())
    assert none.label == "green"
    assert read([0.1, 0.2, 0.7], OutputSpec("y", "logits", LABELS)).labels is None


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ({"kind": "logits", "thresholds": [0.5]}, "thresholds belongs to the kinds"),
        ({"thresholds": [0.5, 0.5]}, "one number for all labels, or of 3"),
        ({"thresholds": 0.5}, "one number for all labels"),
        ({"thresholds": [1]}, "above 0 and below 1"),
        ({"kind": "multilabel-probabilities", "temperature": 2}, "scales logits"),
    ],
)
def test_thresholds_that_cannot_be_are_named(folder: Path, output: dict[str, Any], sentence: str) -> None:
    raw = json.loads((folder / "card.json").read_bytes())
    raw["output"] |= output
    (folder / "card.json").write_text(json.dumps(raw))
    with pytest.raises(CardError, match=sentence):
        load_card(folder)


def test_one_threshold_counts_for_every_label(tmp_path: Path) -> None:
    assert add(tmp_path, "--kind", "multilabel-logits", "--threshold", "0.7").exit_code == 0
    assert load_card(tmp_path / "models" / "several").output.thresholds == (0.7, 0.7, 0.7)
    wrong = add(tmp_path, "--kind", "logits", "--threshold", "0.7", name="other")
    assert "--threshold belongs to the kinds" in wrong.output


def test_sigmoids_are_read_as_multilabel_and_can_be_overridden(tmp_path: Path) -> None:
    result = add(tmp_path, end="Sigmoid")
    assert result.exit_code == 0, result.output
    assert load_card(tmp_path / "models" / "several").output.kind == "multilabel-probabilities"
    other = add(tmp_path, "--kind", "probabilities", name="other", end="Sigmoid")
    assert other.exit_code == 0, other.output
    assert "overrides the graph, which is read as multilabel-probabilities. It ends in Sigmoid" in other.output
    twice = add(tmp_path, "--kind", "multilabel-logits", name="twice", end="Sigmoid")
    assert twice.exit_code == 1
    assert "sigmoid would be applied twice" in twice.output
    missing = add(tmp_path, "--kind", "multilabel-probabilities", name="missing")
    assert "no sigmoid was applied" in missing.output


def test_exclusive_labels_are_listed_as_an_assumption(tmp_path: Path) -> None:
    assert "exactly one label is right, softmax over all (--kind multilabel-logits" in add(tmp_path).output
    assert "exactly one label" not in add(tmp_path, "--kind", "logits", name="said").output


def test_responses_list_labels_above_their_thresholds(tmp_path: Path, folder: Path) -> None:
    served = make_app(Classifier.load(folder))
    yellow, none = (photo(tmp_path, name).read_bytes() for name in ("yellow", "none"))
    result = body_of(served.http(rest(body=yellow), Context()))
    assert set(result["labels"]) == {"red", "green"}
    assert result["label"] in result["labels"]
    assert result["probability"] == result["scores"][result["label"]]
    assert body_of(served.http(rest(body=none), Context()))["labels"] == []
    assert served.direct({"image": base64_of(yellow), "top": 1}, Context())["labels"] == result["labels"]
    batch = json_body({"items": [{"image": base64_of(yellow)}, {"image": base64_of(none)}]})
    items = body_of(served.http(rest(path="/v1/classify/batch", **batch), Context()))["results"]
    assert [sorted(item["result"]["labels"]) for item in items] == [["green", "red"], []]


def test_the_contract_has_labels_and_does_not_require_them() -> None:
    for name in ("Result", "Scores"):
        assert ANSWERS[name]["properties"]["labels"]["items"] == {"type": "string"}
        assert "labels" not in ANSWERS[name]["required"]


def test_all_predicted_labels_are_counted(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = make_app(Classifier.load(folder), metrics=MetricsRules(max_labels=3))
    capsys.readouterr()
    served.http(rest(body=photo(tmp_path, "white").read_bytes()), Context())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["Label"] for line in lines if "Predictions" in line} == set(LABELS)
    (log,) = [line for line in lines if "_aws" not in line]
    assert sorted(log["labels"]) == sorted(LABELS)


def test_evaluation_reports_map_and_f1(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkit.latency.SECONDS", 0.02)
    page = tmp_path / "report.html"
    source = photos(tmp_path / "photos")
    shown = run("evaluate", "several", str(source), "--html", str(page), models=folder.parent)
    assert shown.exit_code == 0, shown.output
    assert "mAP 1.000, F1 1.000 (micro) 1.000 (macro), all labels right 1.000" in shown.output
    assert "average precision" in page.read_text()

    # 'yellow' is only red, says the table now: one label too many is given, and ranks above right ones.
    text = (source / "labels.csv").read_text().replace("yellow.png,red|green", "yellow.png,red")
    (source / "labels.csv").write_text(text)
    value = json.loads(run("evaluate", "several", str(source), "--json", models=folder.parent).stdout)
    assert value["exact_match"] == 0.8
    assert value["classes"]["green"] == {"average_precision": 0.5, "f1": 0.6667, "count": 1, "given": 2}
    assert value["f1_micro"] == pytest.approx(2 * 6 / (7 + 6), abs=1e-4)
    assert "accuracy" not in value


def test_the_gate_compares_sets_of_labels(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkit.latency.SECONDS", 0.02)
    strict = ("--kind", "multilabel-logits", "--threshold", "0.999")
    assert add(tmp_path, *strict, name="strict").exit_code == 0
    source = photos(tmp_path / "photos")
    first, second = (load_card(folder.parent / name) for name in ("strict", "several"))
    comparison = compare(first, second, find_multilabel(source, LABELS))
    assert comparison.disagreeing.tolist() == [True, False, True, True, True]
    assert len(comparison.label_changes(0.03)) == 4
    gate = ("--against", "several", "--images", str(source))
    rejected = run("gate", "strict", *gate, models=folder.parent)
    assert rejected.exit_code == 1
    assert "0.2000 of 5 images get the label" in rejected.output


def test_golden_case_accepts_any_of_its_labels(tmp_path: Path) -> None:
    yellow = photo(tmp_path, "yellow")
    fine = add(tmp_path, "--kind", "multilabel-logits", "--golden", f"{yellow}=green")
    assert fine.exit_code == 0, fine.output
    wrong = add(tmp_path, "--kind", "multilabel-logits", "--golden", f"{yellow}=blue", name="other")
    assert wrong.exit_code == 3
    assert "not blue; blue has 0.00" in wrong.output


def test_impossible_labels_of_images_are_named(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos")
    for text, sentence in (
        ("image,labels\nred.png,purple\n", "has the label 'purple'"),
        ("image,labels\nno.png,red\n", "'no.png' is not there"),
        ("file,label\nred.png,red\n", "needs the header image,labels"),
    ):
        (source / "labels.csv").write_text(text)
        with pytest.raises(Exception, match=sentence):
            find_multilabel(source, LABELS)


def test_average_precision_is_that_of_its_formula() -> None:
    targets = np.array([True, False, True, False])
    assert average_precision(targets, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(targets, np.array([0.5, 0.5, 0.5, 0.5])) == pytest.approx(0.5)
    assert math.isnan(average_precision(np.zeros(2, bool), np.array([0.1, 0.2])))
    assigned = np.array([[True, False], [True, False]])
    assert f1_scores(np.array([[True, False], [False, False]]), assigned)[0] == pytest.approx(2 / 3)
    assert math.isnan(f1_scores(np.zeros((2, 2), bool), assigned)[1])
