"""`make doctor` and the alias: pinned, moved by hand, half-shifted, or being shifted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doctor_fakes import (
    environment,
)
from operations_fakes import CODEDEPLOY, ScriptedAws, stack

from infra.pins import Pin, write_pin
from tools.doctor import alias as alias_check
from tools.doctor.findings import Finding, Level

ROOT = Path(__file__).resolve().parents[2]


def _alias(
    tmp_path: Path, alias: dict[str, Any], *more: tuple[str, str, str], pin: Pin | None = None, **answers: Any
) -> list[Finding]:
    if pin is not None:
        write_pin(pin, tmp_path)
    aws = ScriptedAws({**stack(*more), "lambda.get_alias": {"Name": "live", **alias}, **answers})
    return list(alias_check.check(environment(), aws, tmp_path))


PIN = Pin("prod", "7", "8", "2026-11-26T02:00:00Z", "labels are swapped")

HALF_SHIFTED = {"FunctionVersion": "7", "RoutingConfig": {"AdditionalVersionWeights": {"8": 0.1}}}


def test_an_alias_on_the_stacks_newest_version_is_ok(tmp_path: Path) -> None:
    (finding,) = _alias(tmp_path, {"FunctionVersion": "8"})
    assert (finding.level, finding.summary) == (Level.ok, "Alias live serves version 8, the newest of the stack.")


def test_an_alias_elsewhere_without_a_pin_is_a_warning_with_both_ways_out(tmp_path: Path) -> None:
    (finding,) = _alias(tmp_path, {"FunctionVersion": "7"})
    assert finding.level is Level.warning
    assert "serves version 7, the stack deployed version 8" in finding.summary
    assert "make rollback ENV=prod VERSION=7" in finding.action
    assert "--function-version 8 --routing-config AdditionalVersionWeights={}" in finding.action


def test_a_gradual_release_from_another_version_is_an_error(tmp_path: Path) -> None:
    aws = ScriptedAws({**stack(), "lambda.get_alias": {"Name": "live", "FunctionVersion": "7"}})
    for strategy, level in (("canary", Level.error), ("all_at_once", Level.warning)):
        (finding,) = alias_check.check(environment("prod", release={"strategy": strategy}), aws, tmp_path)
        assert finding.level is level
        assert ("all_at_once" in finding.action) == (level is Level.error)


def test_a_half_shifted_alias_is_an_error_with_the_repair(tmp_path: Path) -> None:
    (finding,) = _alias(tmp_path, HALF_SHIFTED)
    assert finding.level is Level.error
    assert "version 7, 10% on version 8" in finding.summary
    assert "Invalid alias configuration for Provisioned Concurrency" in finding.summary
    repair = (
        "aws lambda update-alias --function-name loupe-prod --name live --routing-config AdditionalVersionWeights={}"
    )
    assert finding.action.startswith(repair)
    # The runbook documents the same command.
    assert repair.replace("prod", "ENV") in (ROOT / "docs" / "runbook.md").read_text()


def test_a_shift_by_codedeploy_is_no_half_shifted_alias(tmp_path: Path) -> None:
    deploying = {
        "codedeploy.list_deployment_groups": {"deploymentGroups": ["group"]},
        "codedeploy.get_deployment_group": {
            "deploymentGroupInfo": {"lastAttemptedDeployment": {"deploymentId": "d-1"}}
        },
        "codedeploy.get_deployment": {"deploymentInfo": {"status": "InProgress"}},
    }
    (finding,) = _alias(tmp_path, HALF_SHIFTED, *CODEDEPLOY, **deploying)
    assert (finding.level, "d-1 is in progress" in finding.summary) == (Level.warning, True)
    deploying["codedeploy.get_deployment"] = {"deploymentInfo": {"status": "Stopped"}}
    assert _alias(tmp_path, HALF_SHIFTED, *CODEDEPLOY, **deploying)[0].level is Level.error


def test_a_pin_is_an_error_that_says_how_to_lift_it(tmp_path: Path) -> None:
    (finding,) = _alias(tmp_path, {"FunctionVersion": "7"}, pin=PIN)
    assert (finding.level, finding.action) == (Level.error, "make rollback ENV=prod LIFT=1")
    assert "pinned to version 7 (in place of 8) since 2026-11-26T02:00:00Z: labels are swapped" in finding.summary
    _, moved = _alias(tmp_path, {"FunctionVersion": "8"}, pin=PIN)
    assert (moved.level, moved.action) == (Level.warning, "make rollback ENV=prod VERSION=7")
    (tmp_path / "prod.json").write_text("{")
    (damaged,) = _alias(tmp_path, {"FunctionVersion": "7"})
    assert (damaged.level, "cannot be read" in damaged.summary) == (Level.error, True)
