"""Quantized graphs: their arithmetic, their determinism, and the gate before them."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loupe.card import Card, load_card
from loupe.model import Model
from loupe.processor import describe
from onnx import numpy_helper
from onnx_zoo import COLORS, classifier, save, write_images
from rich.console import Console
from typer.testing import CliRunner

from modelkit.adding import Answers, add
from modelkit.checks import Check, passed
from modelkit.cli import app, show
from modelkit.errors import ModelkitError
from modelkit.evaluation import compare
from modelkit.gating import Limits, judge
from modelkit.labelled_images import find_images, spread
from modelkit.latency import Cost
from modelkit.optimizing import optimize, optimized
from modelkit.quantize.int4 import quantize_blocks
from modelkit.quantize.prepare import prepared
from modelkit.quantize.schemes import SCHEMES, Recipe, obstacle, recipes
from modelkit.quantize.trials import Plan, Trial, _split, minimum_images, quantize
from modelkit.verify import verify

LABELS = tuple(COLORS)


@pytest.fixture(autouse=True)
def _measure_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkit.latency.SECONDS", 0.02)


def make(tmp_path: Path, name: str = "base", **graph: Any) -> Card:
    """Three colours, with layers wide enough to be worth quantizing."""
    proto = classifier(**{"outputs": 3, "hidden": 4096, **graph})
    answers = Answers(labels=LABELS, preprocess="unit", resize="bilinear")
    return load_card(add(save(proto, tmp_path / "net.onnx"), tmp_path / "models", name, answers))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_images(tmp_path / "photos", LABELS, 10)


def unpacked(codes: np.ndarray, count: int) -> np.ndarray:
    halves = np.stack([codes & 15, codes >> 4], -1).reshape(*codes.shape[:-1], -1)
    return halves[..., :count]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 100), st.sampled_from([16, 32, 128]), st.integers(0, 10**6))
def test_dequantized_weights_are_within_half_a_step(outputs: int, inputs: int, block: int, seed: int) -> None:
    weight = np.random.default_rng(seed).normal(0, 1, (outputs, inputs)).astype(np.float32)
    codes, scales, zeros = quantize_blocks(weight, block)
    count = -(-inputs // block)
    assert codes.shape == (outputs, count, block // 2)
    assert zeros.shape == (outputs, (count + 1) // 2)
    steps = unpacked(codes, block).astype(np.float32) - unpacked(zeros, count)[:, :, None]
    back = (steps * scales[:, :, None]).reshape(outputs, -1)
    # Half a step for the weight, and as much for the zero point, which is whole too.
    error = np.abs(back[:, :inputs] - weight).reshape(outputs, -1)
    assert (error <= np.repeat(scales, block, 1)[:, :inputs] * 1.001).all()
    assert not back[:, inputs:].any()


def test_dead_weights_stay_zero() -> None:
    codes, scales, zeros = quantize_blocks(np.zeros((2, 32), np.float32), 32)
    assert (scales == 1).all()
    assert not ((unpacked(codes, 32) - unpacked(zeros, 1)[:, :, None]) * scales[:, :, None]).any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_is_deterministic_and_nearly_exact(tmp_path: Path, photos: Path, scheme: str) -> None:
    card = make(tmp_path)
    images = find_images(photos, LABELS)
    plan = Plan(scheme, calibration=images, even_if_worse=True)
    outcome = quantize(card, plan)
    assert outcome.folder is not None
    assert outcome.folder.name == f"base-{scheme}"
    variant = load_card(outcome.folder)
    assert passed(verify(outcome.folder))
    assert variant.raw["quantization"]["base"]["name"] == "base"
    assert compare(variant, card, images).shifts.max() < 0.05
    again = quantize(card, Plan(scheme, calibration=images, even_if_worse=True, replace=True))
    assert again.folder is not None
    assert load_card(again.folder).files == variant.files


def test_auto_takes_the_best_that_passes(tmp_path: Path) -> None:
    card = make(tmp_path)
    photos = write_images(tmp_path / "photos", LABELS, 24)
    command = ["quantize", "base", "--calibration", str(photos), "--models-dir", str(card.directory.parent), "--json"]
    result = CliRunner().invoke(app, command)
    report = json.loads(result.stdout)
    passing = [trial for trial in report["trials"] if trial["passes"] and not trial["reason"]]
    if passing:
        assert result.exit_code == 0
        close = [trial for trial in passing if trial["score"] <= 1.15 * min(trial["score"] for trial in passing)]
        best = min(close, key=lambda trial: trial["comparison"]["max_probability_shift"])
        assert report["kept"] == f"base-{best['recipe']['scheme']}"
        assert passed(verify(card.directory.parent / report["kept"]))
    else:
        assert result.exit_code == 1
    assert {path.name for path in card.directory.parent.iterdir()} <= {"base", str(report["kept"])}


def test_the_wide_layers_are_an_eighth_in_four_bits(tmp_path: Path) -> None:
    card = make(tmp_path, hidden=32768)
    proto = prepared(card)
    small = Recipe("int4-weights", 32).apply(proto, card.input, ())
    assert [node.op_type for node in small.graph.node].count("MatMulNBits") == 1
    assert small.ByteSize() < 0.65 * proto.ByteSize()


def test_float16_halves_the_file_and_keeps_float32_arithmetic(tmp_path: Path) -> None:
    card = make(tmp_path)
    proto = prepared(card)
    half = Recipe("float16").apply(proto, card.input, ())
    assert half.ByteSize() < 0.6 * proto.ByteSize()
    huge = classifier()
    huge.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((3, 3, 3, 3), 1e6, np.float32), "conv"))
    with pytest.raises(ModelkitError, match="beyond what float16 holds"):
        Recipe("float16").apply(huge, card.input, ())


def test_unsuitable_schemes_are_reported(tmp_path: Path, photos: Path) -> None:
    card = make(tmp_path, hidden=16)
    proto = prepared(card)
    assert "no Gemm or MatMul" in str(obstacle("int4-weights", proto, calibrated=True))
    assert "--calibration" in str(obstacle("int8-static", proto, calibrated=False))
    with pytest.raises(ModelkitError, match="int8-dynamic does nothing for base"):
        quantize(card, Plan("int8-dynamic", calibration=find_images(photos, LABELS), even_if_worse=True))


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path, photos: Path) -> None:
    card = make(tmp_path)
    images = find_images(photos, LABELS)
    variant = quantize(card, Plan("int4-weights", calibration=images, even_if_worse=True)).folder
    assert variant is not None
    with pytest.raises(ModelkitError, match="is quantized already"):
        quantize(load_card(variant), Plan("float16", calibration=images, even_if_worse=True))


def test_too_few_images_yield_no_verdict(tmp_path: Path, photos: Path) -> None:
    card = make(tmp_path)
    images = find_images(photos, LABELS)
    with pytest.raises(ModelkitError, match=r"15 image.s. are too few .* at least 34 beside the 15 that calibrate"):
        quantize(card, Plan("auto", calibration=images))
    with pytest.raises(ModelkitError, match=r"30 image.s. are too few .* at least 34, as the limits"):
        quantize(card, Plan("float16", judged=images))
    outcome = quantize(card, Plan("float16", judged=images, even_if_worse=True))
    assert "without a verdict" in outcome.reason or "although the gate rejects it" in outcome.reason
    assert [minimum_images(Limits(min_agreement=share)) for share in (0.5, 0.97, 0.99, 1)] == [20, 34, 100, 200]


def test_calibration_images_are_excluded_from_evaluation(tmp_path: Path, photos: Path) -> None:
    card = make(tmp_path)
    shutil.copytree(photos, tmp_path / "copies")
    calibration, judged = _split(card, Plan("auto", calibration=find_images(photos, LABELS)))
    assert not {item.path for item in calibration} & {item.path for item in judged}
    assert len(calibration) == len(judged) == 15
    copies = find_images(tmp_path / "copies", LABELS)
    _, judged = _split(card, Plan("auto", calibration=find_images(photos, LABELS), judged=copies))
    assert judged == [], "copies of the calibration images under other names"


def test_a_scheme_that_failed_is_not_called_untried(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = make(tmp_path)
    monkeypatch.setattr("modelkit.quantize.trials.verify", lambda _: [Check("range", "fail", "odd numbers.")])
    plan = Plan("auto", judged=find_images(write_images(tmp_path / "more", LABELS, 12), LABELS))
    outcome = quantize(card, plan)
    tried = {trial.recipe.scheme: trial.tried for trial in outcome.trials}
    assert tried == {
        "int8-dynamic": True, "int8-static": False, "int4-weights": True, "mixed": False, "float16": True
    }  # fmt: skip
    monkeypatch.setattr(show, "console", Console(width=200))
    show.trials(outcome)
    text = capsys.readouterr().out
    assert "failed: float16: verify: range" in text
    assert "not tried: int8-static: needs images" in text
    assert "Timed on" in text


@pytest.mark.parametrize(("flags", "marked"), [("avx2 fma avx512_vnni", True), ("avx2 fma", False)])
def test_a_win_that_was_timed_with_vnni_is_marked(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, flags: str, *, marked: bool
) -> None:
    monkeypatch.setattr("modelkit.latency.describe", lambda: f"A processor ({flags})")
    card = make(tmp_path)
    same = compare(card, card, find_images(photos, LABELS))
    faster = dataclasses.replace(same, model=dataclasses.replace(same.model, cost=Cost(1.0, 1.0, 1)))
    faster = dataclasses.replace(faster, against=dataclasses.replace(same.against, cost=Cost(2.0, 1.0, 1)))
    assert Trial(Recipe("int8-dynamic"), faster).transferable is not marked
    assert Trial(Recipe("float16"), faster).transferable
    slower = dataclasses.replace(faster, model=faster.against, against=faster.model)
    assert Trial(Recipe("int8-dynamic"), slower).transferable


def test_old_graphs_are_brought_to_a_recent_opset(tmp_path: Path) -> None:
    proto = prepared(make(tmp_path, opset=11))
    assert next(opset.version for opset in proto.opset_import if not opset.domain) >= 17


def test_an_interrupted_trial_leaves_nothing(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    card = make(tmp_path)
    write_images(photos, LABELS, 12)
    monkeypatch.setattr("modelkit.quantize.trials.verify", interrupt)
    command = ["quantize", "base", "--images", str(photos), "--models-dir", str(card.directory.parent)]
    assert CliRunner().invoke(app, command).exit_code == 130
    assert [path.name for path in card.directory.parent.iterdir()] == ["base"]


def damaged(card: Card, folder: Path) -> Card:
    """The model with a tenth of its last layer's weights turned around."""
    proto = onnx.load(card.graph_path)
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name == "down")
    values = numpy_helper.to_array(weight).copy()
    values[[0, 2]] = values[[2, 0]]
    weight.CopyFrom(numpy_helper.from_array(values, "down"))
    answers = Answers(labels=LABELS, preprocess="unit", resize="bilinear")
    return load_card(add(save(proto, folder / "net.onnx"), card.directory.parent, "damaged", answers))


def test_the_gate_stops_a_damaged_model_and_lets_the_same_one_pass(tmp_path: Path, photos: Path) -> None:
    card = make(tmp_path)
    damaged(card, tmp_path / "bad")
    common = ["--against", "base", "--images", str(photos), "--models-dir", str(card.directory.parent)]
    rejected = CliRunner().invoke(app, ["gate", "damaged", *common])
    assert rejected.exit_code == 1
    assert "It does not pass." in rejected.output
    report = json.loads(CliRunner().invoke(app, ["gate", "damaged", *common, "--json"]).stdout)
    failed = {check["name"] for check in report["checks"] if check["status"] == "fail"}
    assert failed >= {"agreement", "near ties", "probability shift", "accuracy"}


def test_limits_are_those_of_the_reference_card(tmp_path: Path, photos: Path) -> None:
    card = make(tmp_path)
    raw = json.loads((card.directory / "card.json").read_bytes())
    release = {
        "min_agreement": 0,
        "max_probability_shift": 1,
        "near_tie": 0.5,
        "max_accuracy_loss": 1,
        "max_latency_ratio": 50,
    }
    (card.directory / "card.json").write_text(json.dumps(raw | {"release": release}))
    assert Limits.of(load_card(card.directory)) == Limits(0, 1, 0.5, 1, 50)
    assert Limits.of(card) == Limits()
    comparison = compare(card, card, find_images(photos, LABELS))
    fair = judge(comparison, Limits(max_latency_ratio=50))
    assert passed(fair)
    assert [check.name for check in fair] == ["agreement", "near ties", "probability shift", "accuracy", "latency"]


def test_models_of_other_labels_are_not_compared(tmp_path: Path, photos: Path) -> None:
    card = make(tmp_path)
    answers = Answers(labels=LABELS[::-1], preprocess="unit", resize="bilinear")
    other = load_card(add(tmp_path / "net.onnx", card.directory.parent, "other", answers))
    with pytest.raises(ModelkitError, match="their labels differ"):
        compare(card, other, find_images(photos, LABELS))


def test_optimization_keeps_a_graph_that_every_host_can_run(tmp_path: Path, photos: Path) -> None:
    card = make(tmp_path)
    proto = optimized(onnx.load(card.graph_path), "extended")
    assert {node.domain for node in proto.graph.node} <= {"", "com.microsoft"}
    outcome = optimize(card, find_images(photos, LABELS))
    folders = {path.name for path in card.directory.parent.iterdir()}
    assert folders == ({"base", "base-optimized"} if outcome.folder else {"base"})
    assert outcome.reason
    if outcome.folder:
        assert Model.load(load_card(outcome.folder))


def test_evaluation_is_reported_as_text_json_and_html(tmp_path: Path, photos: Path) -> None:
    card = make(tmp_path)
    (photos / "red" / "broken.jpg").write_bytes(b"no image")
    page = tmp_path / "report.html"
    common = ["--models-dir", str(card.directory.parent), "--against", "base"]
    shown = CliRunner().invoke(app, ["evaluate", "base", str(photos), *common, "--html", str(page)])
    assert shown.exit_code == 0, shown.output
    assert "accuracy 1.0000" in shown.output
    assert f"one thread, {describe()}" in shown.output
    assert "not readable, left out: broken.jpg" in shown.output
    text = page.read_text()
    assert text.count("<svg") == 6
    # What is left of addresses are names of namespaces; nothing is loaded.
    assert not re.findall(r"(?:src|href)=.https?:", re.sub(r"xmlns:?\w*=\S+|rdf:resource=\S+", "", text))
    assert "<script" not in text
    report = json.loads(CliRunner().invoke(app, ["evaluate", "base", str(photos), *common, "--json"]).stdout)
    assert report["accuracy"] == 1
    assert report["confusion"] == [[10, 0, 0], [0, 10, 0], [0, 0, 10]]
    assert report["comparison"]["agreement"] == 1
    assert report["comparison"]["mcnemar"]["p_value"] == 1


def test_folders_that_are_not_labels_are_reported(tmp_path: Path, photos: Path) -> None:
    (photos / "purple").mkdir()
    with pytest.raises(ModelkitError, match="not labels of the model: purple"):
        find_images(photos, LABELS)
    with pytest.raises(ModelkitError, match="has no folder named after a label"):
        find_images(photos / "red", LABELS)
    assert len(find_images(photos / "red", LABELS, labels_needed=False)) == 10
    with pytest.raises(ModelkitError, match="is not a folder"):
        find_images(tmp_path / "none", LABELS)


def test_a_sample_is_spread_over_all_labels_and_repeatable(photos: Path) -> None:
    images = find_images(photos, LABELS)
    taken = spread(images, 6)
    assert taken == spread(images, 6)
    assert [image.label for image in taken] == [2, 2, 1, 1, 0, 0]
    assert spread(images, 100) == images


def test_auto_tries_each_scheme() -> None:
    assert {recipe.scheme for recipe in recipes("auto")} == set(SCHEMES)
    assert [recipe.block for recipe in recipes("int4-weights", block=64)] == [64]
