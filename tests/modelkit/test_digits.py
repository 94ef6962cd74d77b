"""Another model to bring: grey, 28 x 28, ten classes, a fixed batch of one, an opset from 2018."""

from __future__ import annotations

from pathlib import Path

from kit import run, shared
from loupe.classifier import Classifier

DIGITS = (0, 3, 5, 7)


def test_all_four_digits_are_right(tmp_path: Path) -> None:
    graph = shared("mnist/mnist.onnx")
    golden = [part for digit in DIGITS for part in ("--golden", f"{shared(f'mnist/wonnx_{digit}.jpg')}={digit}")]
    labels = ["--labels", "0,1,2,3,4,5,6,7,8,9"]
    options = ["--name", "digits", *labels, "--preprocess", "raw", "--resize", "bilinear", *golden]
    result = run("add", graph, *options, "--models-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert run("verify", "digits", "--models-dir", tmp_path).exit_code == 0
    classifier = Classifier.load(tmp_path / "digits")
    for digit in DIGITS:
        assert classifier.classify(shared(f"mnist/wonnx_{digit}.jpg").read_bytes()).label == str(digit)
