"""The delivery's workflows: order, environments, one image for all, smoke test and rollback after a deployment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import load_settings
from infra.settings.delivery import BUILD_ENVIRONMENT, DeliverySettings
from infra.stacks.delivery import BUILD_WORKFLOW, DEPLOY_WORKFLOW
from tools.delivery.builds import read_context

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
ENVIRONMENTS = DeliverySettings.model_fields["environments"].default
CALL = f"./.github/workflows/{DEPLOY_WORKFLOW}"


def read(name: str) -> dict[str, Any]:
    document = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    # YAML 1.1 reads the key `on` as true.
    document["on"] = document.pop(True)
    return document


DELIVER, DEPLOY, MAINTAIN = read(BUILD_WORKFLOW), read(DEPLOY_WORKFLOW), read("maintain.yml")
STEPS: list[dict[str, Any]] = DEPLOY["jobs"]["deploy"]["steps"]


def needs(name: str) -> set[str]:
    """A job and, transitively, what it waits for."""
    value = DELIVER["jobs"][name].get("needs", [])
    direct = {value} if isinstance(value, str) else set(value)
    return direct.union(*map(needs, direct)) if direct else set()


def position(pattern: str, steps: list[dict[str, Any]]) -> int:
    (index,) = [index for index, step in enumerate(steps) if re.search(pattern, step.get("run", step.get("uses", "")))]
    return index


def test_the_gate_runs_first_and_environments_follow_one_another() -> None:
    assert list(DELIVER["jobs"]) == ["gate", "build", *ENVIRONMENTS]
    order = list(DELIVER["jobs"])
    for index, name in enumerate(order):
        assert needs(name) == set(order[:index])


def test_a_delivery_runs_on_main_only_and_never_beside_another() -> None:
    assert DELIVER["on"]["push"] == {"branches": ["main"]}
    assert set(DELIVER["on"]) == {"push", "workflow_dispatch"}
    assert "github.ref == 'refs/heads/main'" in DELIVER["jobs"]["gate"]["if"]
    for document in (DELIVER, MAINTAIN):
        assert document["concurrency"]["cancel-in-progress"] is False
    assert "${{" not in DELIVER["concurrency"]["group"]


def test_every_environment_gets_the_image_of_the_one_build() -> None:
    builds = [
        name
        for name, job in DELIVER["jobs"].items()
        if any("make image" in s.get("run", "") for s in job.get("steps", []))
    ]
    assert builds == ["build"]
    pushed = DELIVER["jobs"]["build"]["outputs"]
    assert pushed == {
        name: f"${{{{ steps.push.outputs.{name} }}}}" for name in ("digest", "authorizer-digest", "commit")
    }
    for environment in ENVIRONMENTS:
        job = DELIVER["jobs"][environment]
        assert job["uses"] == CALL
        assert job["with"] == {"environment": environment} | {
            name: f"${{{{ needs.build.outputs.{name} }}}}" for name in pushed
        }


def test_the_bill_of_materials_is_an_artifact_of_the_built_image() -> None:
    steps = DELIVER["jobs"]["build"]["steps"]
    order = [
        position(pattern, steps)
        for pattern in ("make image", "make sbom", "upload-artifact", "configure-aws", "make push")
    ]
    assert order == sorted(order)
    assert steps[position("upload-artifact", steps)]["with"]["include-hidden-files"] is True


def test_an_approval_holds_the_deploying_job_before_its_first_step() -> None:
    assert DEPLOY["jobs"]["deploy"]["environment"] == "${{ inputs.environment }}"
    assert DELIVER["jobs"]["build"]["environment"] == BUILD_ENVIRONMENT


def test_a_smoke_test_follows_the_deployment_and_its_failure_deploys_what_was_there() -> None:
    deploys = [index for index, step in enumerate(STEPS) if "make deploy " in step.get("run", "")]
    smokes = [index for index, step in enumerate(STEPS) if "make smoke-deployed" in step.get("run", "")]
    before = position("make deployed ", STEPS)
    assert before < deploys[0] < smokes[0] < deploys[1] < smokes[1]
    assert STEPS[before]["id"] == "before"
    assert STEPS[smokes[0]]["id"] == "smoke"
    rollback = STEPS[deploys[1]]
    assert rollback["if"].startswith("failure() && steps.smoke.outcome == 'failure'")
    assert rollback["env"]["DIGEST"] == "${{ steps.before.outputs.digest }}"
    (checkout,) = [step for step in STEPS if step.get("with", {}).get("path")]
    assert checkout["with"]["ref"] == rollback["env"]["COMMIT"] == "${{ steps.before.outputs.commit }}"
    assert checkout["with"]["path"] == rollback["working-directory"]
    # The same command with the other image: nothing of the first deployment is missing in the second.
    assert rollback["run"].replace('SETTINGS="$QUICK" ', "") == STEPS[deploys[0]]["run"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_rollback_does_not_take_the_time_of_a_canary(environment: str) -> None:
    (quick,) = [step["env"]["QUICK"] for step in STEPS if "QUICK" in step.get("env", {})]
    release = load_settings(read_context(), environment, quick).release
    assert release.strategy == load_settings(read_context(), environment).release.strategy
    assert not release.gradual or (release.percent, release.shift_minutes) == (99, 3)


def test_packages_are_installed_before_there_are_credentials() -> None:
    credentials = position("configure-aws", STEPS)
    assert position("make setup", STEPS) < credentials
    build = DELIVER["jobs"]["build"]["steps"]
    assert position("make image", build) < position("configure-aws", build)


def test_only_jobs_that_use_aws_get_an_identity_and_nothing_gets_more() -> None:
    identity = {"contents": "read", "id-token": "write"}
    permissions = {name: job["permissions"] for name, job in DELIVER["jobs"].items()}
    assert permissions.pop("gate") == {"contents": "read", "deployments": "read"}
    assert all(value == identity for value in (*permissions.values(), DEPLOY["jobs"]["deploy"]["permissions"]))
    assert MAINTAIN["jobs"]["audit"]["permissions"] == {"contents": "read"}
    assert MAINTAIN["jobs"]["base-image"]["permissions"] == {"contents": "write", "pull-requests": "write"}


@pytest.mark.parametrize("document", [DELIVER, DEPLOY, MAINTAIN], ids=["deliver", "deploy", "maintain"])
def test_scripts_contain_no_expression_and_print_no_secret(document: dict[str, Any]) -> None:
    """An expression in a script is text that the shell runs; a secret is in the variables of the steps that need it."""
    for name, job in document["jobs"].items():
        assert "secrets." not in str(job.get("env", "")), name
        for step in job.get("steps", []):
            assert "${{" not in step.get("run", ""), name
            held = [key for key, value in step.get("env", {}).items() if "secrets." in value or "github.token" in value]
            assert not held or re.search(r"smoke-deployed|propose-base|gh api", step["run"]), name
