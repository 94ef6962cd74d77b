"""`make rollback`: what AWS is asked for in which order, with and without a deployment in progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from operations_fakes import ARN, Bench, Cloud, Deploying

from tools.rollback import moving


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return Bench(monkeypatch, tmp_path / "pins")


def test_the_alias_goes_to_the_version_before_and_is_pinned_there(bench: Bench) -> None:
    cloud = Cloud()
    code, text = bench.run(cloud, "--reason", "labels are\nswapped")
    assert (code, cloud.version, cloud.updates) == (0, "7", [{"FunctionVersion": "7"}])
    pin = bench.pin
    assert pin is not None
    assert (pin.version, pin.replaced, pin.reason) == ("7", "8", "labels are swapped")
    assert "Alias live is moved from version 8 to version 7." in text
    assert "make rollback ENV=prod LIFT=1, then make deploy ENV=prod" in text
    # The version was asked before any traffic went to it.
    calls = [name for name, _ in cloud.aws.requests]
    assert calls.index("lambda.invoke") < calls.index("lambda.update_alias")
    assert cloud.aws.arguments("lambda.invoke")[0]["Qualifier"] == "7"


def test_a_version_can_be_named(bench: Bench) -> None:
    cloud = Cloud()
    assert bench.run(cloud, "--version", "5")[0] == 0
    assert (cloud.version, bench.pin and bench.pin.version) == ("5", "5")


def test_a_deployment_in_progress_is_stopped_before_the_alias_is_moved(bench: Bench) -> None:
    cloud = Deploying(weights={"8": 0.1})
    code, text = bench.run(cloud)
    assert (code, cloud.version, cloud.weights) == (0, "7", {})
    calls = [name for name, _ in cloud.aws.requests]
    assert calls.index("codedeploy.stop_deployment") < calls.index("lambda.update_alias")
    assert cloud.aws.arguments("codedeploy.stop_deployment") == [{"deploymentId": "d-1", "autoRollbackEnabled": False}]
    assert "CodeDeploy deployment d-1 is Stopped." in text
    assert "moved from version 7 (10% on 8) to version 7" in text
    assert "wait until stack Loupe-prod has rolled back" in text
    assert bench.pin is not None
    assert (bench.pin.version, bench.pin.replaced) == ("7", "8")


def test_a_deployment_that_has_moved_no_traffic_is_stopped_and_the_alias_stays(bench: Bench) -> None:
    cloud = Deploying()
    code, text = bench.run(cloud)
    assert (code, cloud.version, cloud.updates) == (0, "7", [])
    assert "already sends everything to version 7" in text


def test_the_rollback_of_a_deployment_group_is_waited_for(bench: Bench) -> None:
    cloud = Deploying(rollback="d-2", weights={"8": 0.1})
    assert bench.run(cloud)[0] == 0
    assert {"deploymentId": "d-2"} in cloud.aws.arguments("codedeploy.get_deployment")
    assert bench.waited >= 4


def test_a_deployment_that_does_not_stop_changes_nothing(bench: Bench) -> None:
    cloud = Deploying(polls=10_000, weights={"8": 0.1})
    code, text = bench.run(cloud)
    assert (code, cloud.weights, bench.pin) == (2, {"8": 0.1}, None)
    assert "did not stop within 60 s" in text


def test_weights_and_version_are_changed_apart_where_provisioned_concurrency_demands_it(bench: Bench) -> None:
    cloud = Cloud("8", {"7": 1.0})
    cloud.provisioned = True
    cleared = {"RoutingConfig": {"AdditionalVersionWeights": {}}}
    assert bench.run(cloud)[0] == 0
    assert (cloud.version, cloud.weights) == ("7", {})
    assert cloud.updates == [{"FunctionVersion": "7", **cleared}, cleared, {"FunctionVersion": "7"}]


def test_a_conflicting_change_is_waited_for(bench: Bench) -> None:
    cloud = Cloud()
    cloud.conflicts = [("ResourceConflictException", "An update is in progress", 409)] * 3
    assert bench.run(cloud)[0] == 0
    assert (cloud.version, bench.waited) == ("7", 6)
    cloud = Cloud()
    cloud.conflicts = [("ResourceConflictException", "An update is in progress", 409)] * 99
    code, text = bench.run(cloud)
    assert (code, cloud.version, "An update is in progress" in text) == (2, "8", True)


def test_provisioned_environments_that_are_not_ready_yet_are_reported(bench: Bench) -> None:
    config = {"FunctionArn": f"{ARN}:live", "Status": "IN_PROGRESS", "RequestedProvisionedConcurrentExecutions": 5}
    cloud = Cloud(lambda__list_provisioned_concurrency_configs={"ProvisionedConcurrencyConfigs": [config]})
    moved = cloud.update

    def shifting(**changes: Any) -> Any:
        answer = moved(**changes)
        cloud.weights = {"8": 1.0}
        return answer

    cloud.aws._scripts["lambda.update_alias"] = shifting
    code, text = bench.run(cloud)
    assert (code, bench.waited) == (1, moving.SHIFT_SECONDS)
    assert "Not all traffic is on version 7 yet: 7 (100% on 8)" in text
    assert bench.pin is not None
