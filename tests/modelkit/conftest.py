"""The course's model, added and quantized once for the suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit import run, shared


@pytest.fixture(scope="session")
def course_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with the course's architecture, added as the docs say, and its quantized variant."""
    graph, photos = shared("course/hair_classifier_hw8.onnx"), shared("hair/train")
    models = tmp_path_factory.mktemp("models")
    options = ["--name", "course", "--labels", "curly,straight", "--preprocess", "imagenet", "--resize", "bilinear"]
    added = run("add", graph, *options, "--models-dir", models)
    assert added.exit_code == 0, added.output
    quantized = run("quantize", "course", "--scheme", "auto", "--calibration", photos, "--models-dir", models)
    assert quantized.exit_code == 0, quantized.output
    return models
