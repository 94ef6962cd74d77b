"""The acceptance step that releases a damaged model: what it damages, and which outcomes it accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.acceptance import aws
from tools.acceptance.release import check, damaged
from tools.acceptance.steps import CANARY
from tools.acceptance.suite import Context
from tools.acceptance.target import AcceptanceError, Deployed, Released

FINDING = "golden case acceptance-damaged golden/curly-1.jpg: the label is straight, not curly."


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "m"
    (folder / "golden").mkdir(parents=True)
    card = {"name": "m", "output": {"labels": ["curly", "straight"]}, "golden": [{"label": "curly"}]}
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "train.py").touch()
    return folder


def test_the_damaged_model_differs_in_the_order_of_its_labels_and_is_removed(model: Path) -> None:
    with damaged(model) as name:
        copy = model.parent / name
        card = json.loads((copy / "card.json").read_text())
        assert card == {"name": name, "output": {"labels": ["straight", "curly"]}, "golden": [{"label": "curly"}]}
        assert not (copy / "train.py").exists()
    assert [path.name for path in model.parent.iterdir()] == ["m"]


def test_the_damaged_model_is_removed_after_a_failure_and_an_earlier_one_replaced(model: Path) -> None:
    (model.parent / "acceptance-damaged").mkdir()
    with pytest.raises(AcceptanceError), damaged(model):
        raise AcceptanceError("no")
    assert [path.name for path in model.parent.iterdir()] == ["m"]


class Target:
    """An account in which a release ends as it is told to."""

    def __init__(self, outcome: Released, *, served: str = "m", weights: Mapping[str, float] | None = None) -> None:
        self.outcome, self.served, self.weights = outcome, served, weights
        self.released: Mapping[str, Any] = {}

    def release(self, settings: Mapping[str, Any]) -> Released:
        self.released = settings
        return self.outcome

    def client(self, service: str) -> Any:
        assert service == "lambda"
        routing = {"AdditionalVersionWeights": dict(self.weights)} if self.weights else None
        variables = {"Variables": {"LOUPE_MODEL": self.served}}
        return SimpleNamespace(
            get_alias=lambda **_: {"FunctionVersion": "3", "RoutingConfig": routing},
            get_function_configuration=lambda **options: (
                {"Environment": variables} if options["Qualifier"] == "3" else {}
            ),
        )


def run(target: Target, model: Path) -> str:
    deployed = Deployed("https://x.test/", {"FunctionName": "loupe-acc-1"})
    context = Context(target, dict(CANARY), 1.0, deployed)  # type: ignore[arg-type]
    return check(context, model)


def test_a_rollback_by_a_golden_case_passes_and_names_it(model: Path) -> None:
    target = Target(Released(True, "Failed, BeforeAllowTraffic", (FINDING,)))
    assert FINDING in run(target, model)
    assert target.released["model"] == {"name": "acceptance-damaged"}
    assert target.released["release"]["strategy"] == "canary"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (Target(Released(False, "cdk deploy succeeded")), "was released"),
        (Target(Released(True, "a quota", ())), "not by a golden case"),
        (Target(Released(True, "x", ("max_latency_ms: 4000 ms",))), "not by a golden case"),
        (Target(Released(True, "x", (FINDING,)), served="acceptance-damaged"), "serves 'acceptance-damaged'"),
        (Target(Released(True, "x", (FINDING,)), weights={"4": 0.5}), "still shares"),
    ],
)
def test_any_other_outcome_fails(target: Target, sentence: str, model: Path) -> None:
    with pytest.raises(AcceptanceError, match=sentence):
        run(target, model)


class Account:
    """An account whose stack has just been rolled back, or is in another state."""

    def __init__(self, status: str) -> None:
        self.status = status

    def client(self, _service: str) -> Account:
        return self

    def get_account(self) -> dict[str, str]:
        return {}

    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803
        return {"Stacks": [{"StackStatus": self.status, "StackName": StackName}]}

    def get_function_configuration(self, FunctionName: str) -> Any:  # noqa: N803
        assert FunctionName == "loupe-acc-1-before-traffic"
        return {"LoggingConfig": {"LogGroup": "group"}}

    def get_paginator(self, operation: str) -> Any:
        def event(name: str, status: str, reason: str = "") -> dict[str, str]:
            return {"LogicalResourceId": name, "ResourceStatus": status, "ResourceStatusReason": reason}

        def paginate(**options: Any) -> Iterator[Any]:
            if operation == "filter_log_events":
                assert options["logGroupName"] == "group"
                yield {"events": [{"message": json.dumps({"finding": FINDING})}]}
                return
            yield {
                "StackEvents": [
                    event("Loupe-acc-1", "UPDATE_ROLLBACK_COMPLETE"),
                    event("Other", "UPDATE_FAILED", "Resource update cancelled"),
                    event("Alias", "UPDATE_FAILED", "hook failed"),
                ]
            }
            yield {
                "StackEvents": [event("Loupe-acc-1", "UPDATE_IN_PROGRESS"), event("Old", "UPDATE_FAILED", "long ago")]
            }

        return SimpleNamespace(paginate=paginate)


def aws_target(folder: Path, account: Account, monkeypatch: pytest.MonkeyPatch, code: int) -> aws.AwsTarget:
    program = folder / "cdk"
    program.write_text(f"#!/bin/sh\necho the end of the output\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(aws.cdk, "CDK", program)
    target = aws.AwsTarget("dev", "acc-1", {}, folder / "cdk.log")
    target.client = account.client  # type: ignore[method-assign]
    return target


def test_a_rollback_on_aws_names_the_first_failure_and_the_finding_of_the_hook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = aws_target(tmp_path, Account("UPDATE_ROLLBACK_COMPLETE"), monkeypatch, 1)
    assert target.release(CANARY) == Released(True, "Alias: hook failed", (FINDING,))


def test_a_successful_release_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not aws_target(tmp_path, Account("UPDATE_COMPLETE"), monkeypatch, 0).release(CANARY).rolled_back


def test_a_deployment_that_never_began_is_no_rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, a rejected change set: the stack is as it was, and nothing was stopped."""
    target = aws_target(tmp_path, Account("UPDATE_COMPLETE"), monkeypatch, 1)
    with pytest.raises(AcceptanceError, match=r"(?s)is UPDATE_COMPLETE.*the end of the output"):
        target.release(CANARY)
