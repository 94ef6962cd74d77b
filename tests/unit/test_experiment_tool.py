"""`python -m tools.experiment`: what it writes, what it rejects, and what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from typer.testing import CliRunner

from infra.settings import load_settings
from tools import experiment as tool
from tools.experiment import CALLERS, ExperimentError, LiveExperiment
from tools.operations.target import connect

NAME = "/loupe-x/experiment-weights"
ARMS = [{"name": name, "model": "hair-type", "weight": 1} for name in ("a", "b", "c")]
VALUES = {
    "models": [{"name": "hair-type"}, {"name": "hair-type-large"}],
    "experiment": {"name": "size", "arms": ARMS, "key": "source-address", "live_weights": True},
}


class Store:
    """A parameter store with one parameter; ``fail`` is what the next calls end with."""

    def __init__(self, value='{"a": 60, "b": 30, "c": 10}', fail=None):
        self.value, self.fail, self.version = value, fail, 3

    def get_parameter(self, *, Name):  # noqa: N803
        assert Name == NAME
        if self.value is None:
            raise ClientError({"Error": {"Code": "ParameterNotFound"}}, "GetParameter")
        return {"Parameter": {"Value": self.value, "Version": self.version}}

    def put_parameter(self, *, Name, Value, Type, Overwrite):  # noqa: N803
        if self.fail:
            raise self.fail
        assert (Name, Type, Overwrite) == (NAME, "String", True)
        self.value, self.version = Value, self.version + 1
        return {"Version": self.version}


def settings(**changes):
    values = {**VALUES, "experiment": {**VALUES["experiment"], **changes}}
    return load_settings({"environments": {"x": values}}, "x")


def live(store):
    return LiveExperiment(settings(), store)


def test_arms_that_are_not_named_keep_their_weights_and_callers_move_only_to_the_named_one() -> None:
    store = Store()
    change = live(store).write(["b=90"])
    assert json.loads(store.value) == {"a": 60, "b": 90, "c": 10}
    assert (change.before, change.written, change.version) == ({"a": 60, "b": 30, "c": 10}, True, 4)
    moves = live(store).moved(change)
    assert {new for _, new in moves} == {"b"}
    # From 30 of 100 to 90 of 160.
    assert sum(moves.values()) / CALLERS == pytest.approx(90 / 160 - 30 / 100, abs=0.01)


@pytest.mark.parametrize("weights", [["a=60"], ["a=6", "b=3", "c=1"], []])
def test_weights_that_move_no_caller_are_not_written(weights) -> None:
    store = Store()
    change = live(store).write(weights)
    assert (change.written, store.version) == (False, 3)
    assert not live(store).moved(change)


def test_weight_zero_pauses_an_arm() -> None:
    store = Store()
    change = live(store).write(["c=0"])
    assert json.loads(store.value)["c"] == 0
    assert {old for old, _ in live(store).moved(change)} == {"c"}


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (["d=1"], "'d=1': name each arm once, of a, b, c"),
        (["a=1", "a=2"], "'a=2': name each arm once"),
        (["a"], "'a': a weight is a whole number from 0 to 10000"),
        (["a=-1"], "'a=-1': a weight is a whole number"),
        (["a=1.5"], "'a=1.5': a weight is a whole number"),
        (["a=10001"], "'a=10001': a weight is a whole number"),
        (["a=٣"], "a weight is a whole number"),
        (["a=0", "b=0", "c=0"], "One weight at least must be above 0. Nothing was written."),
    ],
)
def test_invalid_weights_are_rejected_before_anything_is_written(weights, sentence) -> None:
    store = Store()
    with pytest.raises(ExperimentError) as error:
        live(store).write(weights)
    assert sentence in str(error.value)
    assert store.version == 3


def test_a_parameter_that_does_not_exist_is_not_created() -> None:
    for weights in (["a=1"], ["a=1", "b=1", "c=1"]):
        store = Store(None)
        with pytest.raises(ExperimentError, match="There is no parameter /loupe-x/experiment-weights"):
            live(store).write(weights)
        assert store.value is None


def test_an_invalid_value_is_replaced_where_every_arm_is_named() -> None:
    store = Store("broken")
    with pytest.raises(ExperimentError, match=r"is not valid.*Name every arm"):
        live(store).write(["a=1"])
    change = live(store).write(["a=1", "b=2", "c=3"])
    assert json.loads(store.value) == change.after == {"a": 1, "b": 2, "c": 3}
    assert not live(store).moved(change)


@pytest.mark.parametrize(
    "failure",
    [
        ClientError({"Error": {"Code": "AccessDeniedException"}}, "PutParameter"),
        EndpointConnectionError(endpoint_url="x"),
    ],
)
def test_failures_of_aws_are_sentences(failure) -> None:
    with pytest.raises(ExperimentError, match="ssm:PutParameter on /loupe-x/experiment-weights failed"):
        live(Store(fail=failure)).write(["a=1"])


def test_an_environment_without_live_weights_is_rejected() -> None:
    with pytest.raises(ExperimentError, match="x has no experiment with live_weights"):
        LiveExperiment(settings(live_weights=False), Store())


@pytest.fixture
def run(monkeypatch):
    store = Store()
    monkeypatch.setattr(tool, "load_settings", lambda *_: settings())
    aws = SimpleNamespace(client={"ssm": store}.__getitem__)
    monkeypatch.setattr(tool, "connect", lambda *_, **__: SimpleNamespace(aws=aws))
    return lambda *arguments: CliRunner().invoke(tool.app, list(arguments))


def test_the_command_prints_moves_and_the_weights_in_force(run) -> None:
    shown = run("show", "x")
    assert (shown.exit_code, "version 3" in shown.output, "60.0 %" in shown.output) == (0, True, True)
    result = run("set-weights", "x", "a=0")
    assert result.exit_code == 0
    assert "a -> b: " in result.output
    assert "\nwritten\n" in result.output
    assert "b  hair-type      30   75.0 %" in result.output
    again = run("set-weights", "x", "a=0")
    assert "not written: these ratios are in force" in again.output
    failed = run("set-weights", "x", "z=1")
    assert (failed.exit_code, "error: 'z=1'" in failed.output) == (1, True)


def test_without_a_local_cloud_the_command_says_how_to_start_one(tmp_path) -> None:
    patch = json.dumps(VALUES)
    result = CliRunner().invoke(tool.app, ["show", "local", "--settings", patch, "--state", str(tmp_path)])
    assert (result.exit_code, "`make up` starts one" in result.output) == (1, True)


def test_the_region_of_the_settings_patch_is_queried(monkeypatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert connect("dev", patch='{"region": "eu-west-1"}').aws.region == "eu-west-1"
    result = CliRunner().invoke(tool.app, ["show", "nowhere"])
    assert (result.exit_code, "no environment 'nowhere'" in result.output) == (1, True)


def test_the_command_imports_neither_the_cdk_nor_the_local_cloud() -> None:
    code = "import sys, tools.experiment; print({'aws_cdk', 'localcloud'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
