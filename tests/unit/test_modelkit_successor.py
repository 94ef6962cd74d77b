"""The gate for a retrained model: accuracy and latency, not agreement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from onnx_zoo import classifier, save, write_images
from typer.testing import CliRunner, Result

from modelkit.cli import app

LABELS = ("red", "green", "blue")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """``old``, ``retrained`` of other probabilities, and ``worse``, which knows only red."""
    folder = tmp_path / "models"
    worse = classifier(outputs=3)
    bias = next(tensor for tensor in worse.graph.initializer if tensor.name == "down_bias")
    bias.raw_data = bytes.fromhex("0000c842") + bytes(8)  # 100.0, 0.0, 0.0
    graphs = {"old": classifier(outputs=3), "retrained": classifier(outputs=3, gain=1.0), "worse": worse}
    for name, proto in graphs.items():
        file = save(proto, tmp_path / f"{name}.onnx")
        options = ("--labels", ",".join(LABELS), "--preprocess", "unit", "--resize", "bilinear", "--models-dir", folder)
        result = run("add", file, "--name", name, *options)
        assert result.exit_code == 0, result.output
        card = json.loads((folder / name / "card.json").read_bytes()) | {"release": {"max_latency_ratio": 100}}
        (folder / name / "card.json").write_text(json.dumps(card))
    return folder


def gate(models: Path, name: str, *options: object) -> Result:
    return run("gate", name, "--against", "old", "--json", "--models-dir", models, *options)


def test_a_retrained_model_of_equal_accuracy_passes_as_successor_only(models: Path, tmp_path: Path) -> None:
    images = ("--images", write_images(tmp_path / "photos", LABELS, 4))
    assert gate(models, "retrained", *images).exit_code == 1
    result = gate(models, "retrained", *images, "--successor")
    assert result.exit_code == 0, result.output
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert set(checks) == {"accuracy", "evidence", "agreement", "latency"}
    assert checks["evidence"]["status"] == "warn"
    assert "12 images do not exclude a loss" in checks["evidence"]["detail"]


def test_more_images_exclude_a_loss(models: Path, tmp_path: Path) -> None:
    result = gate(models, "retrained", "--images", write_images(tmp_path / "photos", LABELS, 30), "--successor")
    evidence = next(check for check in json.loads(result.stdout)["checks"] if check["name"] == "evidence")
    assert evidence["status"] == "pass"


def test_a_less_accurate_successor_is_rejected(models: Path, tmp_path: Path) -> None:
    result = gate(models, "worse", "--images", write_images(tmp_path / "photos", LABELS, 4), "--successor")
    assert result.exit_code == 1
    accuracy = next(check for check in json.loads(result.stdout)["checks"] if check["name"] == "accuracy")
    assert accuracy["status"] == "fail"
    assert accuracy["detail"].startswith("0.3333 against 1.0000 on 12 images")


def test_a_successor_needs_labelled_images(models: Path, tmp_path: Path) -> None:
    assert gate(models, "retrained", "--successor").exit_code == 2
    photos = write_images(tmp_path / "photos", ("red",), 2) / "red"
    result = gate(models, "retrained", "--images", photos, "--successor")
    assert result.exit_code == 3
    assert "use --images DIR with images in DIR/<label>/" in result.output
