# ruff: noqa: N803 (AWS's names of parameters)
"""The pruner of versions: what it keeps and why; the doctor's check of their images."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from doctor_fakes import ACCOUNT, REGION, StubbedAws, environment
from typer.testing import CliRunner

from infra.pins import Pin, read_pin
from infra.settings import Settings
from tools.doctor import versions as check
from tools.doctor.aws import CallError
from tools.doctor.findings import Level
from tools.versions import __main__ as command
from tools.versions.__main__ import delete, lines
from tools.versions.listing import BusyError, functions

NOW = datetime(2026, 11, 26, tzinfo=UTC)
FUNCTION, BULK, SHADOW = "loupe-prod", "loupe-prod-bulk", "loupe-prod-shadow"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/loupe"


class Cloud(StubbedAws):
    """Answers by operation; pages of one item, as the smallest that AWS may return."""

    def __init__(self) -> None:
        super().__init__({})
        self.versions = {FUNCTION: range(1, 11), BULK: range(1, 9)}
        self.aliases: dict[str, list[dict[str, Any]]] = {
            FUNCTION: [{"Name": "live", "FunctionVersion": "10"}],
            BULK: [{"Name": "live", "FunctionVersion": "8"}],
        }
        self.executions: dict[str, list[dict[str, Any]]] = {}
        self.inputs: dict[str, str] = {}
        self.deployments: dict[str, dict[str, Any]] = {}
        self.stack = "UPDATE_COMPLETE"
        self.missing: set[str] = set()
        self.deleted: list[str] = []

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        return getattr(self, f"_{operation}")(**arguments)

    def _get_caller_identity(self) -> Any:
        return {"Account": ACCOUNT, "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/a/b"}

    def _describe_stacks(self, StackName: str) -> Any:
        return {"Stacks": [{"StackName": StackName, "StackStatus": self.stack}]}

    def _list_versions_by_function(self, FunctionName: str, Marker: str = "0") -> Any:
        if FunctionName not in self.versions:
            raise CallError("missing", "", level=Level.error, code="ResourceNotFoundException")
        items = ["$LATEST", *map(str, self.versions[FunctionName])]
        return self._page("Versions", [{"Version": item} for item in items], Marker, "NextMarker")

    def _list_aliases(self, FunctionName: str, Marker: str = "0") -> Any:
        return self._page("Aliases", self.aliases[FunctionName], Marker, "NextMarker")

    def _list_executions(self, stateMachineArn: str, statusFilter: str, nextToken: str = "0") -> Any:
        assert stateMachineArn == f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{BULK}"
        return self._page("executions", self.executions.get(statusFilter, []), nextToken, "nextToken")

    def _describe_execution(self, executionArn: str) -> Any:
        return {"input": self.inputs[executionArn]}

    def _list_deployments(self, includeOnlyStatuses: list[str], nextToken: str = "0") -> Any:
        assert {"Created", "Queued", "InProgress"} <= set(includeOnlyStatuses)
        return self._page("deployments", list(self.deployments), nextToken, "nextToken")

    def _get_deployment(self, deploymentId: str) -> Any:
        return {"deploymentInfo": self.deployments[deploymentId]}

    def _delete_function(self, FunctionName: str, Qualifier: str) -> None:
        self.deleted.append(f"{FunctionName}:{Qualifier}")

    def _get_function(self, FunctionName: str, Qualifier: str) -> Any:
        return {"Code": {"ResolvedImageUri": f"{REPOSITORY}@sha256:{int(Qualifier):064x}"}}

    def _describe_images(self, registryId: str, repositoryName: str, imageIds: list[dict[str, str]]) -> Any:
        assert (registryId, repositoryName) == (ACCOUNT, "loupe")
        if any(item["imageDigest"] in self.missing for item in imageIds):
            raise CallError("gone", "", level=Level.error, code="ImageNotFoundException")
        return {"imageDetails": imageIds}

    @staticmethod
    def _page(key: str, items: list[Any], token: str, name: str) -> Any:
        begin = int(token)
        rest = {name: str(begin + 1)} if begin + 1 < len(items) else {}
        return {key: items[begin : begin + 1], **rest}

    def job(self, name: str, version: int, status: str = "RUNNING", days: float = 1) -> None:
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{BULK}:{name}"
        self.executions.setdefault(status, []).append({"executionArn": arn, "stopDate": NOW - timedelta(days=days)})
        self.inputs[arn] = json.dumps({"function": f"{ARN}:{BULK}:{version}"})

    def deployment(self, content: str, platform: str = "Lambda") -> None:
        self.deployments["d-1"] = {"computePlatform": platform, "revision": {"string": {"content": content}}}


def settings_of(keep: int, **patch: Any) -> Settings:
    return environment(**{"bulk": {"enabled": True}, "release": {"keep_versions": keep}, **patch})


def unused(cloud: Cloud, **patch: Any) -> dict[str, list[int]]:
    settings = settings_of(3, **patch)
    return {item.name: item.unused for item in functions(settings, cloud, NOW)}


def test_the_newest_and_the_served_versions_stay() -> None:
    cloud = Cloud()
    cloud.aliases[FUNCTION][0]["FunctionVersion"] = "4"
    assert unused(cloud) == {FUNCTION: [1, 2, 3, 5, 6, 7], BULK: [1, 2, 3, 4, 5]}


def test_a_version_behind_a_weight_stays() -> None:
    cloud = Cloud()
    cloud.aliases[FUNCTION][0]["RoutingConfig"] = {"AdditionalVersionWeights": {"5": 0.1}}
    assert 5 not in unused(cloud)[FUNCTION]


def test_every_alias_counts() -> None:
    cloud = Cloud()
    cloud.aliases[FUNCTION].append({"Name": "by-hand", "FunctionVersion": "2"})
    assert 2 not in unused(cloud)[FUNCTION]


def test_the_versions_of_a_pin_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    pin = Pin(environment="prod", version="2", replaced="4", since="2026-11-25T00:00:00Z", reason="faults")
    monkeypatch.setattr("tools.versions.listing.read_pin", lambda _: pin)
    assert unused(Cloud())[FUNCTION] == [1, 3, 5, 6, 7]


@pytest.mark.parametrize(
    ("status", "days", "retained"),
    [
        ("RUNNING", 80, True),
        ("FAILED", 13, True),
        ("ABORTED", 13, True),
        ("TIMED_OUT", 13, True),
        ("FAILED", 15, False),
    ],
)
def test_a_job_keeps_its_version_while_it_runs_or_can_be_redriven(status: str, days: float, retained: bool) -> None:
    cloud = Cloud()
    cloud.job("a", 2, status, days)
    assert (2 not in unused(cloud)[BULK]) is retained


def test_a_job_that_names_no_version_keeps_all() -> None:
    cloud = Cloud()
    cloud.job("a", 2)
    cloud.inputs = dict.fromkeys(cloud.inputs, "{}")
    assert unused(cloud)[BULK] == []


@pytest.mark.parametrize("key", ["resources", "Resources"])
def test_both_versions_of_an_open_deployment_stay(key: str) -> None:
    cloud = Cloud()
    properties = {"Name": FUNCTION, "Alias": "live", "CurrentVersion": "2", "TargetVersion": "3"}
    inner = "properties" if key == "resources" else "Properties"
    cloud.deployment(json.dumps({key: [{"f": {"type": "AWS::Lambda::Function", inner: properties}}]}))
    assert unused(cloud) == {FUNCTION: [1, 4, 5, 6, 7], BULK: [1, 2, 3, 4, 5]}


def test_an_open_deployment_that_cannot_be_read_keeps_all() -> None:
    cloud = Cloud()
    cloud.deployment("version: 0.0")
    assert unused(cloud) == {FUNCTION: [], BULK: []}
    cloud.deployment("version: 0.0", "ECS")
    assert unused(cloud)[FUNCTION]


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"])
def test_nothing_is_pruned_while_the_stack_may_go_back(status: str) -> None:
    cloud = Cloud()
    cloud.stack = status
    with pytest.raises(BusyError, match=status):
        unused(cloud)


def test_without_bulk_jobs_there_is_one_function() -> None:
    assert set(unused(Cloud(), bulk={"enabled": False})) == {FUNCTION}


def test_the_function_of_a_shadow_test_is_pruned_too() -> None:
    cloud = Cloud()
    cloud.versions[SHADOW] = range(1, 7)
    cloud.aliases[SHADOW] = [{"Name": "live", "FunctionVersion": "2"}]
    assert SHADOW not in unused(cloud)
    models = [{"name": "hair-type"}, {"name": "hair-type-large"}]
    shadow = {"challenger": "hair-type-large", "reserved_concurrency": 5}
    settings = settings_of(3, models=models, shadow=shadow)
    assert {item.name: item.unused for item in functions(settings, cloud, NOW)}[SHADOW] == [1, 3]
    (finding,) = check.check(settings, cloud)
    assert finding.summary == "The images of 24 published versions are in ECR."


def test_a_damaged_pin_is_reported_and_nothing_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud()
    (tmp_path / "prod.json").write_text("{")
    monkeypatch.setattr("tools.versions.listing.read_pin", partial(read_pin, folder=tmp_path))
    monkeypatch.setattr(command, "Aws", lambda *_: cloud)
    run = CliRunner().invoke(command.app, ["--env", "prod", "--apply"], env={"AWS_REGION": REGION})
    assert (run.exit_code, cloud.deleted) == (1, [])
    assert f"error: {tmp_path / 'prod.json'} cannot be read" in run.output
    assert "Traceback" not in run.output


def test_a_list_says_why_and_deletes_nothing() -> None:
    cloud = Cloud()
    candidates = functions(settings_of(9), cloud, NOW)
    text = list(lines(candidates, applied=False))
    assert f"{FUNCTION}:10  kept: one of the newest 9, alias live" in text
    assert f"{FUNCTION}:1  unused" in text
    assert text[-1] == "1 unused. --apply (make prune APPLY=1) deletes it."
    assert cloud.deleted == []


def test_apply_deletes_unused_versions_only() -> None:
    cloud = Cloud()
    delete(functions(settings_of(8), cloud, NOW), cloud)
    assert cloud.deleted == [f"{FUNCTION}:1", f"{FUNCTION}:2"]


def test_the_doctor_finds_versions_without_their_image() -> None:
    cloud = Cloud()
    settings = settings_of(5)
    (fine,) = check.check(settings, cloud)
    assert (fine.level, fine.summary) == (Level.ok, "The images of 18 published versions are in ECR.")
    cloud.missing = {f"sha256:{4:064x}"}
    (finding,) = check.check(settings, cloud)
    assert finding.level is Level.warning
    assert f"{BULK}:4, {FUNCTION}:4" in finding.summary


def test_an_environment_that_is_not_deployed_has_no_versions_to_check() -> None:
    cloud = Cloud()
    cloud.versions = {}
    (finding,) = check.check(settings_of(5), cloud)
    assert (finding.level, finding.summary) == (Level.ok, "No version is published yet.")
