"""From a file to a folder with a complete card; what the graph does not say is asked, never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loupe.card import load_card
from loupe.classifier import Classifier
from onnx import TensorProto
from onnx_zoo import SIDE, classifier, save, write_image
from typer.testing import CliRunner, Result

from modelkit.adding import Answers, plan
from modelkit.checks import passed
from modelkit.cli import app
from modelkit.errors import MissingAnswersError, ModelkitError
from modelkit.folders import staged_folder
from modelkit.label_files import read_text
from modelkit.verify import verify

OPTIONS = ["--preprocess", "unit", "--resize", "bilinear"]


def add(file: Path, models: Path, *options: str, name: str = "mine") -> Result:
    return CliRunner().invoke(app, ["add", str(file), "--name", name, "--models-dir", str(models), *options])


@pytest.mark.parametrize(
    ("graph", "options", "expected"),
    [
        ({}, ["--labels", "red,blue"], {"kind": "logit"}),
        ({"end": "Sigmoid"}, ["--labels", "red,blue"], {"kind": "probability"}),
        ({"outputs": 3}, ["--labels", "red,green,blue"], {"kind": "logits"}),
        ({"end": "Softmax", "outputs": 3}, ["--labels", "red,green,blue"], {"kind": "probabilities"}),
        ({"outputs": 3, "spatial": True}, ["--labels", "red,green,blue"], {"kind": "logits"}),
        ({"layout": "NHWC"}, ["--labels", "red,blue"], {"layout": "NHWC"}),
        ({"channels": 1}, ["--labels", "dark,light"], {"color": "L"}),
        ({"batch": 1}, ["--labels", "red,blue"], {}),
        ({"batch": 4}, ["--labels", "red,blue"], {}),
        ({"dtype": TensorProto.FLOAT16}, ["--labels", "red,blue"], {"dtype": "float16"}),
        ({"side": "side"}, ["--labels", "red,blue", "--size", "20x18"], {"width": 20, "height": 18}),
        ({}, ["--labels", "red,blue", "--color", "BGR"], {"color": "BGR"}),
        (
            {},
            ["--labels", "red,blue", "--shortest", "20"],
            {"resize": {"filter": "bilinear", "fit": "crop", "shortest": 20}},
        ),
        ({}, ["--labels", "red,blue", "--mean", "1,2,3"], {"mean": [1, 2, 3], "scale": "1/255"}),
    ],
)  # fmt: skip
def test_every_kind_of_model_becomes_a_verified_folder(
    tmp_path: Path, graph: dict[str, Any], options: list[str], expected: dict[str, Any]
) -> None:
    result = add(save(classifier(**graph), tmp_path / "net.onnx"), tmp_path / "models", *OPTIONS, *options)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "models" / "mine"
    raw = json.loads((folder / "card.json").read_bytes())
    assert {key: (raw["input"] | raw["output"])[key] for key in expected} == expected
    assert passed(verify(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.onnx"]


def test_uint8_needs_no_preprocessing(tmp_path: Path) -> None:
    file = save(classifier(dtype=TensorProto.UINT8, gain=0.04), tmp_path / "net.onnx")
    result = add(file, tmp_path / "models", "--labels", "red,blue", "--resize", "nearest")
    assert result.exit_code == 0, result.output
    assert load_card(tmp_path / "models" / "mine").input.scale == 1


def test_external_data_keeps_its_name(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx", external="net.onnx.data")
    assert add(file, tmp_path / "models", *OPTIONS, "--labels", "red,blue").exit_code == 0
    card = load_card(tmp_path / "models" / "mine")
    assert [file.path for file in card.files] == ["model.onnx", "net.onnx.data"]
    assert Classifier.load(card.directory)


@pytest.mark.parametrize("target", ["../outside.data", "/dev/zero"])
def test_external_data_behind_a_link_out_of_the_folder_is_not_added(tmp_path: Path, target: str) -> None:
    source = tmp_path / "download"
    source.mkdir()
    file = save(classifier(), source / "net.onnx", external="net.onnx.data")
    (source / "net.onnx.data").rename(tmp_path / "outside.data")
    (source / "net.onnx.data").symlink_to(target)
    result = add(file, tmp_path / "models", *OPTIONS, "--labels", "red,blue")
    assert result.exit_code == 3, result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "models" / "mine").exists()


def test_golden_images_are_copied_with_their_expected_results(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    blue, red = write_image(tmp_path, "blue"), write_image(tmp_path, "red")
    result = add(
        file,
        tmp_path / "models",
        *OPTIONS,
        "--labels",
        "red,blue",
        "--golden",
        f"{blue}=blue",
        "--golden",
        f"{red}=red",
    )
    assert result.exit_code == 0, result.output
    card = load_card(tmp_path / "models" / "mine")
    assert [case.label for case in card.golden] == ["blue", "red"]
    assert all((card.directory / case.image).is_file() and case.probability > 0.6 for case in card.golden)


def test_a_misclassified_golden_image_stops_add_with_a_hint(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    blue = write_image(tmp_path, "blue")
    options = [*OPTIONS, "--labels", "red,blue", "--golden", f"{blue}=blue", "--color", "BGR"]
    result = add(file, tmp_path / "models", *options)
    assert result.exit_code == 3
    assert "comes out as red" in result.output
    assert "input.color 'RGB'" in result.output
    assert not list((tmp_path / "models").iterdir())


def test_missing_answers_are_listed_together(tmp_path: Path) -> None:
    file = save(classifier("Tanh", side="side"), tmp_path / "net.onnx")
    result = add(file, tmp_path / "models")
    assert result.exit_code == 3
    for option in ("--labels", "--preprocess", "--resize", "--kind", "--size"):
        assert option in result.output
    assert not (tmp_path / "models").exists()


def test_questions_name_options_in_the_order_of_a_card(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    with pytest.raises(MissingAnswersError) as caught:
        plan(file, "mine", Answers())
    assert list(caught.value.questions) == ["--preprocess", "--resize", "--labels"]


@pytest.mark.parametrize(
    ("graph", "options", "sentence"),
    [
        ({"dtype": TensorProto.INT8}, [], "int8; served are float32, float16, float64, uint8, int32, int64"),
        ({}, ["--layout", "NHWC"], "--layout NHWC contradicts the graph"),
        ({}, ["--size", "224x224"], f"--size 224x224 contradicts the graph, which takes {SIDE}x{SIDE}"),
        ({}, ["--kind", "magic"], "--kind magic is unknown"),
        ({}, ["--kind", "logits"], "2 labels were given, but output 'scores' (logits, 1 number(s)) needs 1"),
        ({}, ["--labels", "a,b,c"], "3 labels were given, but output 'scores' (logit, 1 number(s)) needs 2"),
        ({"outputs": 3}, ["--labels", "a,b"], "2 labels were given"),
        ({"outputs": 3, "end": "ArgMax"}, ["--labels", "a,b,c"], "is int64 (the chosen class), not scores"),
        ({"channels": 1}, ["--preprocess", "imagenet"], "is for 3 channels, but the input has 1"),
        ({}, ["--preprocess", "magic"], "--preprocess magic is unknown"),
        ({}, ["--resize", "soft"], "--resize soft is unknown"),
        ({}, ["--output", "other"], "--output other is none of the graph's outputs"),
        ({}, ["--color", "L"], "--color L contradicts the graph"),
        ({}, ["--labels", "a,a"], "must differ from each other"),
        ({}, ["--golden", "none.jpg=red"], "Golden image none.jpg is missing"),
    ],
)
def test_contradictions_are_sentences(tmp_path: Path, graph: dict[str, Any], options: list[str], sentence: str) -> None:
    file = save(classifier(**graph), tmp_path / "net.onnx")
    defaults = {"--labels": "red,blue", "--preprocess": "unit", "--resize": "bilinear"}
    merged = defaults | dict(zip(options[::2], options[1::2], strict=True))
    result = add(file, tmp_path / "models", *[part for pair in merged.items() for part in pair])
    assert result.exit_code == 3, result.output
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


@pytest.mark.parametrize("option", [["--mean", "a,b"], ["--size", "big"], ["--scale", "x"], ["--golden", "nolabel"]])
def test_an_option_that_does_not_parse_is_a_usage_error(tmp_path: Path, option: list[str]) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    assert add(file, tmp_path / "models", *option).exit_code == 2


def test_an_existing_model_is_not_replaced_without_the_option(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    options = [*OPTIONS, "--labels", "red,blue"]
    assert add(file, tmp_path / "models", *options).exit_code == 0
    rejected = add(file, tmp_path / "models", *options)
    assert rejected.exit_code == 3
    assert "is there already" in rejected.output
    assert add(file, tmp_path / "models", *options, "--replace").exit_code == 0
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]


def test_an_interruption_leaves_no_partial_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    file = save(classifier(), tmp_path / "net.onnx")
    monkeypatch.setattr("modelkit.adding.Classifier.load", interrupt)
    result = add(file, tmp_path / "models", *OPTIONS, "--labels", "red,blue")
    assert result.exit_code == 130
    assert not list((tmp_path / "models").iterdir())


def test_json_holds_the_card_and_the_checks(tmp_path: Path) -> None:
    file = save(classifier(), tmp_path / "net.onnx")
    report = json.loads(add(file, tmp_path / "models", *OPTIONS, "--labels", "red,blue", "--json").stdout)
    assert report["card"]["output"]["labels"] == ["red", "blue"]
    assert {check["status"] for check in report["checks"]} == {"pass", "warn"}


@pytest.mark.parametrize("content", ["file", "folder"])
def test_replace_keeps_what_is_no_model(tmp_path: Path, content: str) -> None:
    target = tmp_path / "mine"
    notes = target if content == "file" else target / "notes.txt"
    notes.parent.mkdir(exist_ok=True)
    notes.write_text("mine")
    with pytest.raises(ModelkitError, match="is not a model"), staged_folder(target, replace=True):
        pass
    assert notes.read_text() == "mine"


def test_a_file_as_the_folder_of_models_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with (
        pytest.raises(ModelkitError, match="is a file; --models-dir takes"),
        staged_folder(tmp_path / "models" / "mine", replace=False),
    ):
        pass


def test_a_binary_file_of_labels_is_not_called_latin_1(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\x89\xc9\x01\x02\n\xff")
    with pytest.raises(ModelkitError, match="is not text"):
        read_text(tmp_path / "labels.txt")


def test_a_read_only_folder_of_models_is_named_without_temporary_names() -> None:
    with pytest.raises(ModelkitError) as caught, staged_folder(Path("/proc/mine"), replace=False):
        pass
    assert str(caught.value).startswith("No folder can be created in /proc: ")
