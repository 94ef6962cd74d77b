"""A model that modelkit brought, deployed by changing `model.name` and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from damaged import damaged_copy
from deployment import Deployed, deployed_stack, own_cloud
from typer.testing import CliRunner

from localcloud.state import PROJECT, State
from modelkit.cli import app
from tools.smoke.__main__ import app as smoke

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = PROJECT.parent / "shared" / "data"
PREFIX = "test-"


def shared(part: str) -> Path:
    path = SHARED / part
    if not path.exists():
        pytest.skip(f"../shared/data/{part} is not on this machine")
    return path


def modelkit(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A cloud of this module's own, and a clean models/ after it."""
    with own_cloud(tmp_path_factory.mktemp("cloud"), f"{PREFIX}*") as state:
        yield state


def served(state: State, model: str) -> Deployed:
    return deployed_stack(state, {"model": {"name": model}})


def test_four_digits_are_right(state: State) -> None:
    labels = ["--labels", "0,1,2,3,4,5,6,7,8,9"]
    options = ["--name", f"{PREFIX}digits", *labels, "--preprocess", "raw", "--resize", "bilinear", "--replace"]
    modelkit("add", shared("mnist/mnist.onnx"), *options)
    deployed = served(state, f"{PREFIX}digits")
    for digit in (0, 3, 5, 7):
        answer = deployed.classify(shared(f"mnist/wonnx_{digit}.jpg").read_bytes())
        assert answer.status == 200, answer.body
        assert answer.json["label"] == str(digit)
        assert answer.json["model"]["name"] == f"{PREFIX}digits"


def test_the_course_model_in_four_bits_predicts_as_in_float(state: State) -> None:
    """The same cloud, another model: 80 MB brought, shrunk to an eighth, deployed, and the same label."""
    photos = shared("hair/validation")
    options = ["--labels", "curly,straight", "--preprocess", "imagenet", "--resize", "bilinear", "--replace"]
    modelkit("add", shared("course/hair_classifier_hw8.onnx"), "--name", f"{PREFIX}course", *options)
    modelkit(
        "quantize", f"{PREFIX}course", "--scheme", "int4-weights", "--images", photos, "--even-if-worse", "--replace"
    )
    photo = shared("course/yf_dokzqy3vcritme8ggnzqlvwa.jpeg").read_bytes()
    answers = []
    for name in (f"{PREFIX}course", f"{PREFIX}course-int4-weights"):
        answer = served(state, name).classify(photo)
        assert answer.status == 200, answer.body
        assert answer.json["model"]["name"] == name
        answers.append(answer.json)
    assert answers[0]["label"] == answers[1]["label"]
    assert answers[0]["probability"] == pytest.approx(answers[1]["probability"], abs=0.03)


def test_the_smoke_test_names_the_golden_case_of_a_damaged_model(state: State) -> None:
    """Weights were changed after the golden images were recorded: the card still fits the graph, the answers do not."""
    folder = damaged_copy("hair-type", f"{PREFIX}damaged")
    card = json.loads((folder / "card.json").read_text())
    deployed = served(state, folder.name)
    result = CliRunner().invoke(
        smoke, ["--url", deployed.endpoint["url"]], env={"LOUPE_API_KEY": deployed.endpoint["api_key"]}
    )
    assert result.exit_code == 1, result.output
    assert "golden case " in result.output
    failed = [line for line in result.output.splitlines() if line.startswith("FAILED")]
    assert any(case["image"].rpartition("/")[2] in line for case in card["golden"] for line in failed)
