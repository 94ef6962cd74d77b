"""`add` on a terminal: wrong answers are asked for again, and no answer is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from onnx_zoo import classifier, save, write_image
from typer.testing import CliRunner, Result

from modelkit.cli import app


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelkit.cli.prompts.interactive", lambda: True)


def add(tmp_path: Path, *answers: str, options: tuple[str, ...] = (), **graph: object) -> Result:
    file = save(classifier(**graph), tmp_path / "net.onnx")  # type: ignore[arg-type]
    command = ["add", str(file), "--name", "mine", "--models-dir", str(tmp_path / "models"), *options]
    return CliRunner().invoke(app, command, input="".join(f"{answer}\n" for answer in answers))


def card(tmp_path: Path) -> dict[str, dict[str, object]]:
    value: dict[str, dict[str, object]] = json.loads((tmp_path / "models" / "mine" / "card.json").read_bytes())
    return value


def test_invalid_answers_are_reported_and_prompted_for_again(tmp_path: Path) -> None:
    result = add(
        tmp_path,
        "huge", "20x18",            # --size
        "magic", "unit",            # --preprocess
        "soft", "bilinear",         # --resize
        "red,red", "a,b,c", "red,blue",  # --labels
        "sideways", "crop",         # --fit
        "19", "24",                 # --shortest
        "",                         # --golden
        side="side",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for sentence in (
        "--preprocess magic is unknown", "'huge' must be WIDTHxHEIGHT", "--resize soft is unknown",
        "Labels must differ", "3 labels were given", "--fit sideways is unknown", "19 is less than 20",
    ):  # fmt: skip
        assert sentence in result.output, sentence
    assert card(tmp_path)["output"]["labels"] == ["red", "blue"]
    assert card(tmp_path)["input"]["resize"] == {"filter": "bilinear", "fit": "crop", "shortest": 24}


def test_golden_cases_are_prompted_for_and_checked(tmp_path: Path) -> None:
    blue = write_image(tmp_path, "blue")
    preprocessing = ("--preprocess", "unit", "--resize", "bilinear")
    answers = ("red,blue", "", "nothing", f"{tmp_path}/none.png=blue", f"{blue}=green", f"{blue}=blue", "")
    result = add(tmp_path, *answers, options=preprocessing)
    assert result.exit_code == 0, result.output
    for sentence in ("must be IMAGE=LABEL", "none.png is not a file", "'green' is not one of the labels"):
        assert sentence in result.output
    assert [case["label"] for case in card(tmp_path)["golden"]] == ["blue"]  # type: ignore[index]


def test_labels_may_be_answered_with_a_file(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"1": "blue", "0": "red"}')
    preprocessing = ("--preprocess", "unit", "--resize", "bilinear")
    result = add(tmp_path, str(tmp_path / "labels.json"), "stretch", "", options=preprocessing)
    assert result.exit_code == 0, result.output
    assert card(tmp_path)["output"]["labels"] == ["red", "blue"]


@pytest.mark.parametrize("end", ["no more input", "a wrong golden case"])
def test_answers_are_printed_as_options_when_it_fails(tmp_path: Path, end: str) -> None:
    red = write_image(tmp_path, "red")
    answers = ["unit", "bilinear", "red,blue skies"]
    if end == "a wrong golden case":
        answers += ["stretch", f"{red}=blue skies", ""]
    result = add(tmp_path, *answers)
    assert result.exit_code != 0
    assert "--preprocess unit --resize bilinear --labels 'red,blue skies'" in result.output
    assert not list((tmp_path / "models").glob("*"))


def test_complete_options_need_no_prompt(tmp_path: Path) -> None:
    result = add(tmp_path, options=("--preprocess", "unit", "--resize", "bilinear", "--labels", "red,blue"))
    assert result.exit_code == 0, result.output
    assert "--golden: " not in result.output
