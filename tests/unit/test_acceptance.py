"""The acceptance suite on targets in memory: what it runs, what it always does, and what it reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.settings import SettingsError, load_settings
from localcloud.settings import compose
from tools.acceptance import __main__ as command
from tools.acceptance import aws, cost, transcript
from tools.acceptance.steps import API_KEYS, FIREWALL, IAM, ONE_CLIENT, steps
from tools.acceptance.suite import Context, Outcome, Step, execute
from tools.acceptance.sweep import sweep
from tools.acceptance.target import AcceptanceError, Deployed

PROJECT = Path(__file__).parents[2]
CONTEXT = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8"))["context"]


class FakeClient:
    """Answers list operations with what is left in the account."""

    def __init__(self, lists: Mapping[str, Any]) -> None:
        self._lists = lists

    def can_paginate(self, _operation: str) -> bool:
        return False

    def __getattr__(self, operation: str) -> Any:
        return lambda **_options: self._lists.get(operation, {"Buckets": []})


class FakeTarget:
    """A target that records what is asked of it."""

    name = "fake"
    environment = "acc-1"

    def __init__(self, lists: Mapping[str, Any] | None = None, limits: Mapping[str, str] | None = None) -> None:
        self.limits = limits or {}
        self.calls: list[str] = []
        self._lists = lists or {}

    def versions(self) -> Mapping[str, str]:
        return {}

    def doctor(self, settings: Mapping[str, Any]) -> str:
        return "nothing is wrong"

    def deploy(self, settings: Mapping[str, Any]) -> Deployed:
        self.calls.append(f"deploy {settings['auth']['mode']}")
        return Deployed("https://x.test/", {})

    def diff(self, settings: Mapping[str, Any]) -> str:
        return ""

    def client(self, _service: str) -> Any:
        return FakeClient(self._lists)

    def signature(self) -> Any:
        raise AcceptanceError("no signature")

    def destroy(self) -> None:
        self.calls.append("destroy")

    def close(self) -> None:
        self.calls.append("close")


def run(target: FakeTarget, ordinary: list[Step], last: list[Step]) -> list[Outcome]:
    return execute(Context(target, dict(API_KEYS), 1.0), ordinary, last, lambda _: None)


def failing(context: Context) -> str:
    raise AcceptanceError("it does not work")


def test_the_copy_is_destroyed_and_swept_after_a_failure() -> None:
    target = FakeTarget()
    _, last = steps(PROJECT)
    essential = Step("deploy", failing, essential=True)
    outcomes = run(target, [essential, Step("smoke", lambda _: "never")], last)
    assert [(outcome.name, outcome.status) for outcome in outcomes] == [
        ("deploy", "failed"),
        ("smoke", "not reached"),
        ("destroy", "passed"),
        ("sweep", "passed"),
    ]
    assert target.calls == ["destroy"]


def test_the_copy_is_destroyed_after_an_interrupt() -> None:
    target = FakeTarget()

    def interrupted(_: Context) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(target, [Step("deploy", interrupted)], steps(PROJECT)[1])
    assert target.calls == ["destroy"]


def test_a_failure_that_is_not_essential_does_not_end_the_run() -> None:
    outcomes = run(FakeTarget(), [Step("one", failing), Step("two", lambda _: "done")], [])
    assert [(outcome.status, outcome.detail) for outcome in outcomes] == [
        ("failed", "it does not work"),
        ("passed", "done"),
    ]


def test_what_a_target_cannot_show_is_named_and_not_called_passed() -> None:
    target = FakeTarget(limits={"firewall": "there is none"})
    (outcome,) = run(target, [Step("firewall on", lambda _: "never", needs="firewall")], [])
    assert (outcome.status, outcome.detail) == ("not shown", "there is none")
    page = transcript.markdown({"target": "fake"}, [outcome])
    assert "Not shown by this target:\n\n- firewall on: there is none" in page


@pytest.mark.parametrize(
    ("lists", "unexpected"),
    [
        ({"list_functions": {"Functions": [{"FunctionName": "loupe-acc-1"}]}}, ["function loupe-acc-1"]),
        ({"list_functions": {"Functions": [{"FunctionName": "loupe-prod"}]}}, []),
        ({"get_rest_apis": {"items": [{"name": "loupe-acc-1", "id": "a"}]}}, ["REST API a"]),
        ({"get_usage_plans": {"items": [{"name": "loupe-acc-1-first"}]}}, ["usage plan loupe-acc-1-first"]),
        ({"get_api_keys": {"items": [{"description": "Loupe acc-1: client first", "id": "k"}]}}, ["API key k"]),
        ({"list_roles": {"Roles": [{"RoleName": "Loupe-acc-1-ClassifierRole"}]}}, ["role Loupe-acc-1-ClassifierRole"]),
        ({"list_roles": {"Roles": [{"RoleName": "Loupe-acc-1-ApiCloudWatchRole"}]}}, []),
        ({"describe_log_groups": {"logGroups": [{"logGroupName": "/aws/lambda/loupe-acc-1"}]}},
         ["log group /aws/lambda/loupe-acc-1"]),
        ({"describe_alarms": {"MetricAlarms": [{"AlarmName": "loupe-acc-1-X"}]}}, ["alarm loupe-acc-1-X"]),
        ({"list_topics": {"Topics": [{"TopicArn": "arn:aws:sns:r:1:Loupe-acc-1-T"}]}}, ["topic Loupe-acc-1-T"]),
        ({"list_buckets": {"Buckets": [{"Name": "loupe-acc-1-uploads"}]}}, ["bucket loupe-acc-1-uploads"]),
        ({"list_secrets": {"SecretList": [{"Name": "s", "Description": "Loupe acc-1: API key"}]}}, ["secret s"]),
        ({"list_aliases": {"Aliases": [{"AliasName": "alias/loupe-acc-1"}]}}, ["key alias alias/loupe-acc-1"]),
        ({"list_keys": {"Keys": [{"KeyId": "k"}]}, "describe_key": {"KeyMetadata": {
            "KeyId": "k", "Description": "loupe-acc-1: logs", "KeyState": "Enabled"}}}, ["key k"]),
        ({"list_keys": {"Keys": [{"KeyId": "k"}]}, "describe_key": {"KeyMetadata": {
            "KeyId": "k", "Description": "loupe-acc-1: logs", "KeyState": "PendingDeletion"}}}, []),
    ],
)  # fmt: skip
def test_the_sweep_tells_leftovers_from_what_stays_on_purpose(lists: dict[str, Any], unexpected: list[str]) -> None:
    leftovers = sweep(FakeTarget(lists))
    assert [str(leftover) for leftover in leftovers if not leftover.reason] == unexpected


def test_a_cap_below_the_estimate_ends_the_run_before_anything_is_deployed() -> None:
    total = sum(line.dollars for line in cost.estimate())
    assert 0.1 < total < 5
    context = Context(FakeTarget(), dict(API_KEYS), max_usd=total / 2)
    with pytest.raises(AcceptanceError, match="raise --max-usd"):
        cost.check(context)


@pytest.mark.parametrize("variant", [API_KEYS, ONE_CLIENT, IAM, FIREWALL])
@pytest.mark.parametrize("base", ["dev", "staging", "prod"])
def test_every_setting_of_the_suite_can_be_deployed_as_a_copy(base: str, variant: Mapping[str, Any]) -> None:
    patch = json.dumps(compose(command.COPY, variant))
    settings = load_settings(CONTEXT, base, patch, environment="acc-123456")
    assert settings.environment == "acc-123456"
    assert not settings.protection.keep_data
    assert not settings.protection.termination_protection


def test_a_copy_is_never_local() -> None:
    for name, copy in (("local", "acc-1"), ("dev", "local")):
        with pytest.raises(SettingsError, match="neither may be 'local'"):
            load_settings(CONTEXT, name, environment=copy)


@pytest.fixture
def cdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the CDK command line that records its arguments and fails on request."""
    program, record = tmp_path / "cdk", tmp_path / "arguments"
    program.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$*" >> {record}\n'
        'case "$*" in *explode*) echo "the stack was rolled back"; exit 1;; esac\n'
        'while [ $# -gt 0 ]; do if [ "$1" = --outputs-file ]; then\n'
        '  echo \'{"Loupe-acc-1": {"Url": "https://x.test/live/"}}\' > "$2"; fi; shift; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(aws, "CDK", program)
    return record


def test_the_aws_target_deploys_a_copy_by_name(cdk: Path, tmp_path: Path) -> None:
    target = aws.AwsTarget("dev", "acc-1", {"protection": {"keep_data": False}}, tmp_path / "cdk.log")
    target.destroy()
    assert not cdk.exists()
    assert target.deploy(API_KEYS).url == "https://x.test/live/"
    target.destroy()
    deploy, destroy = cdk.read_text().splitlines()
    for line in (deploy, destroy):
        assert "-c env=dev -c name=acc-1" in line
    assert '"keep_data": false' in deploy
    assert '"mode": "api-key"' in deploy


def test_a_failed_deployment_is_a_sentence_with_the_end_of_the_log(cdk: Path, tmp_path: Path) -> None:
    target = aws.AwsTarget("dev", "acc-1", {"model": {"name": "explode"}}, tmp_path / "cdk.log")
    with pytest.raises(AcceptanceError, match=r"(?s)cdk deploy failed.*the stack was rolled back"):
        target.deploy(API_KEYS)
    assert "the stack was rolled back" in (tmp_path / "cdk.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--env", "nowhere"], "cdk.json has no environment 'nowhere'"),
        (["--env", "dev", "--settings", "{"], "--settings is not JSON"),
    ],
)
def test_wrong_arguments_are_a_sentence(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(command.app, arguments)
    assert result.exit_code == 2
    assert sentence in result.output


def test_a_table_cell_stays_on_its_line() -> None:
    page = transcript.markdown({}, [Outcome("step", "failed", "one | two\nthree", 1.0)])
    assert "| step | failed | 1 | one \\| two three |" in page
