"""`make doctor`: every failure of AWS and of the container engine is a finding with a sentence and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from doctor_fakes import (
    REGION,
    TOPIC,
    environment,
    findings,
    one,
)
from typer.testing import CliRunner

from tools.doctor import __main__ as command
from tools.doctor.checks import CHECKS, CheckContext, examine
from tools.doctor.findings import Level, allowing
from tools.doctor.notices import PLACEHOLDER_TAGS, is_production

ROOT = Path(__file__).resolve().parents[2]


def test_a_healthy_account_can_be_deployed_to() -> None:
    report = findings()
    assert {item.level for item in report} == {Level.ok}
    assert {item.check for item in report} == set(CHECKS) - {"environment"}


def _deployed(*subscriptions: tuple[str, str]) -> dict[str, Any]:
    stack = {"StackName": "Loupe-prod", "CreationTime": 0, "StackStatus": "UPDATE_COMPLETE"}
    outputs = [{"OutputKey": "AlarmTopicArn", "OutputValue": TOPIC}]
    return {
        "cloudformation__describe_stacks": {"Stacks": [{**stack, "Outputs": outputs}]},
        "cloudformation__list_stack_resources": {"StackResourceSummaries": []},
        "sns__list_subscriptions_by_topic": {
            "Subscriptions": [{"Endpoint": address, "SubscriptionArn": arn} for address, arn in subscriptions]
        },
    }


CONFIRMED, PENDING = f"{TOPIC}:1", "PendingConfirmation"

NOBODY: dict[str, Any] = {"alarms": {"subscriptions": []}}


@pytest.mark.parametrize(
    ("patch", "answers", "level", "sentence"),
    [
        (NOBODY, {}, Level.error, "The alarm topic has no subscription"),
        ({"alarms": {"enabled": False}}, {}, Level.error, "Alarms are off"),
        ({}, {}, Level.ok, "on-call@example.com, once the address is confirmed"),
        (NOBODY, _deployed(), Level.error, "The alarm topic has no subscription"),
        (NOBODY, _deployed(("chat", CONFIRMED)), Level.ok, "Alarms go to chat"),
        ({}, _deployed(), Level.ok, "once the address is confirmed"),
        ({}, _deployed(("on-call@example.com", PENDING)), Level.error, "has not confirmed"),
        ({}, _deployed(("on-call@example.com", CONFIRMED)), Level.ok, "Alarms go to on-call@example.com"),
        ({}, _deployed(("a@example.com", CONFIRMED), ("b@example.com", PENDING)), Level.warning, "b@example.com has"),
        (NOBODY, _deployed(("gone@example.com", "Deleted")), Level.error, "no subscription"),
    ],
)
def test_production_requires_alarm_recipients(
    patch: dict[str, Any], answers: dict[str, Any], level: Level, sentence: str
) -> None:
    finding = one(findings(environment("prod", **patch), **answers), "alarms")
    assert (finding.level, sentence in finding.summary) == (level, True), finding
    # Elsewhere it is a warning.
    if level is Level.error:
        assert one(findings(environment("dev", **patch), **answers), "alarms").level is Level.warning


def test_environments_that_keep_data_are_production() -> None:
    protection = {"keep_data": True}
    assert is_production(environment("prod"))
    assert is_production(environment("prod-eu"))
    assert is_production(environment("europe", protection=protection))
    assert not is_production(environment("staging"))
    assert not is_production(environment("product-demo"))


def test_the_default_tags_of_cdk_json_are_a_warning() -> None:
    shipped = json.loads((ROOT / "cdk.json").read_text())["context"]["environments"]["prod"]["tags"]
    assert shipped == PLACEHOLDER_TAGS
    finding = one(findings(environment(tags=shipped)), "tags")
    assert (finding.level, "Owner: platform" in finding.summary) == (Level.warning, True)


def test_the_local_cloud_is_no_environment_to_deploy_to_aws() -> None:
    local = environment(
        "local",
        image={"source": "ecr", "repository": "loupe", "tag": "x"},
        alarms={"composite": False, "saved_queries": False},
        region=None,
    )
    (finding,) = examine(local, CheckContext(None))
    assert (finding.level, finding.action) == (Level.error, "Run `make up`.")


def test_errors_of_an_allowed_check_are_warnings() -> None:
    report = findings(environment(**NOBODY))
    assert one(allowing(report, ["alarms"]), "alarms").level is Level.warning
    assert one(allowing(report, ["tags"]), "alarms").level is Level.error


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, no region, and a container engine that is not there."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("CDK_DOCKER", "/nonexistent/docker")


def _run(*options: str) -> tuple[int, str]:
    run = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(command.app, options)
    return run.exit_code, run.output


def test_the_command_prints_text_or_json_and_ends_with_1_where_there_is_an_error(offline: None) -> None:
    code, text = _run("--env", "prod")
    assert code == 1
    assert "✗ alarms" in text
    assert "prod is not ready to be deployed: 3 errors." in text
    assert "Traceback" not in text
    code, text = _run("--env", "prod", "--json")
    report = json.loads(text)
    assert (code, report["environment"], report["counts"]["error"]) == (1, "prod", 3)
    assert {"check", "level", "summary", "action"} == set(report["findings"][0])


def test_the_command_ends_with_0_where_every_error_is_allowed(offline: None) -> None:
    code, text = _run("--env", "prod", "--allow", "alarms", "--allow", "account", "--allow", "docker")
    assert (code, "prod can be deployed." in text) == (0, True)


def test_a_profile_that_does_not_exist_is_a_finding(offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    code, text = _run("--env", "prod")
    assert (code, "The config profile (nobody) could not be found" in text) == (1, True)


def test_invalid_settings_and_names_are_reported_without_a_traceback(
    offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no environment 'nowhere'" in _run("--env", "nowhere")[1]
    assert "there is no such key" in _run("--settings", '{"functon": {}}')[1]
    code, text = _run("--allow", "everything")
    assert (code, "is not a check. Checks: environment" in text) == (2, True)

    def broken(*_: Any) -> Any:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(command, "examine", broken)
    monkeypatch.setenv("AWS_REGION", REGION)
    code, text = _run("--env", "prod")
    assert (code, "RuntimeError: unforeseen" in text) == (1, True)


def test_make_deploy_runs_it_first() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^deploy: doctor ", makefile, re.MULTILINE)
    assert "-m tools.doctor --env $(ENV)" in makefile
