"""`make rollback`: which version, what is rejected, what AWS is asked for in which order, and the pin."""

from __future__ import annotations

import io
import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions
from operations_fakes import ARN, CODEDEPLOY, DENIED, FUNCTION, NOW, Scripted, ScriptedAws, stack
from typer.testing import CliRunner

from infra.pins import Pin, PinError, pin_file, read_pin, reason_of, write_pin
from tools.operations.alias import Alias
from tools.operations.target import OperationError, Target
from tools.rollback import __main__ as command
from tools.rollback import choice, moving

ROOT = Path(__file__).resolve().parents[2]
IMAGE = f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/team/loupe@sha256:{'0a' * 32}"
OK_ANSWER = json.dumps({"statusCode": 200, "body": "{}"}).encode()


VERSIONS = {number: (f"sha-{number}",) for number in (5, 7, 8)}


class Cloud:
    """Lambda and CodeDeploy as far as a rollback sees them: an alias that `update_alias` changes."""

    def __init__(self, version: str = "8", weights: dict[str, float] | None = None, **answers: Scripted) -> None:
        self.version, self.weights = version, dict(weights or {})
        self.provisioned = False
        self.conflicts: list[tuple[str, str, int]] = []
        self.aws = ScriptedAws(
            {
                **stack(),
                "lambda.get_alias": self.alias,
                "lambda.update_alias": self.update,
                "lambda.list_versions_by_function": {
                    "Versions": [
                        {"Version": version, "CodeSha256": f"sha-{version}"} for version in ("$LATEST", "5", "7", "8")
                    ]
                },
                "lambda.list_provisioned_concurrency_configs": {"ProvisionedConcurrencyConfigs": []},
                "lambda.get_function": {"Configuration": {"State": "Active"}, "Code": {"ResolvedImageUri": IMAGE}},
                "lambda.invoke": lambda **_: {"StatusCode": 200, "Payload": io.BytesIO(OK_ANSWER)},
                "ecr.describe_images": {"imageDetails": [{"imageDigest": IMAGE.rpartition("@")[2]}]},
                **{name.replace("__", "."): answer for name, answer in answers.items()},
            }
        )

    def alias(self, **_: Any) -> Any:
        routing = {"RoutingConfig": {"AdditionalVersionWeights": self.weights}} if self.weights else {}
        return {"FunctionVersion": self.version, "Name": "live", **routing}

    def update(self, **changes: Any) -> Any:
        if self.conflicts:
            return self.conflicts.pop(0)
        old, self.version = self.version, changes.get("FunctionVersion", self.version)
        if "RoutingConfig" in changes:
            if self.provisioned and "FunctionVersion" in changes:
                self.version = old
                return (
                    "InvalidParameterValueException", "Invalid alias configuration for Provisioned Concurrency", 400,
                )  # fmt: skip
            self.weights = dict(changes["RoutingConfig"]["AdditionalVersionWeights"])
        return self.alias()

    @property
    def updates(self) -> list[dict[str, Any]]:
        names = {"FunctionName", "Name"}
        return [
            {key: value for key, value in call.items() if key not in names}
            for call in self.aws.arguments("lambda.update_alias")
        ]


class Bench:
    """Runs the command against a `Cloud`, without waiting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pins: Path) -> None:
        self.pins, self._monkeypatch = pins, monkeypatch
        self.waited = 0.0
        monkeypatch.setattr(command.time, "sleep", self._wait)

    def _wait(self, seconds: float) -> None:
        self.waited += seconds

    def run(self, cloud: Cloud, *options: str, production: bool = False) -> tuple[int, str]:
        target = Target("prod", cloud.aws, production=production, pins=self.pins)
        self._monkeypatch.setattr(command, "connect", lambda *_, **__: target)
        result = CliRunner().invoke(command.app, ["--env", "prod", *options])
        assert "Traceback" not in result.output
        return result.exit_code, result.output

    @property
    def pin(self) -> Pin | None:
        return read_pin("prod", self.pins)


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


ALIAS = Alias(FUNCTION, "live", "8", {})


@pytest.mark.parametrize(
    ("version", "weights", "newest", "deploying", "expected"),
    [
        ("8", {}, "8", False, "7"),
        ("7", {}, "8", False, "5"),
        # CodeDeploy shifts to 8; provisioned concurrency of 8 failed and 7 still has the traffic.
        ("7", {"8": 0.1}, "8", True, "7"),
        ("8", {"7": 1.0}, "8", False, "7"),
        # Before the shift: 7 serves and stays; after it: back to 7.
        ("7", {}, "8", True, "7"),
        ("8", {}, "8", True, "7"),
    ],
)
def test_the_previous_version_follows_from_the_state_of_the_shift(
    version: str, weights: dict[str, float], newest: str, deploying: bool, expected: str
) -> None:
    alias = Alias(FUNCTION, "live", version, weights)
    assert choice.previous(alias, VERSIONS, newest, deploying=deploying) == expected


def test_the_first_version_has_no_previous_one() -> None:
    with pytest.raises(OperationError, match="is the earliest of its content that exists"):
        choice.previous(Alias(FUNCTION, "live", "5", {}), VERSIONS, "8", deploying=False)


def test_a_version_of_the_same_image_and_configuration_has_the_same_fault() -> None:
    versions = {5: ("a", "512"), 6: ("b", "512"), 7: ("b", "512"), 8: ("b", "1024")}
    assert choice.previous(Alias(FUNCTION, "live", "7", {}), versions, "8", deploying=False) == "5"
    assert choice.previous(Alias(FUNCTION, "live", "8", {}), versions, "8", deploying=False) == "7"


@pytest.mark.parametrize(
    ("options", "answers", "sentence"),
    [
        (("--version", "6"), {}, "loupe-prod has no version 6. It has 5, 7, 8."),
        (
            (),
            {"ecr__describe_images": ("ImageNotFoundException", "", 400)},
            "The image of version 7 is gone from ECR",
        ),
        ((), {"ecr__describe_images": ("RepositoryNotFoundException", "", 400)}, "The image of version 7 is gone"),
        (
            (),
            {
                "lambda__get_function": {
                    "Configuration": {"State": "Failed", "StateReason": "Image access denied"}, "Code": {},
                }
            },
            "Version 7 cannot run (Image access denied).",
        ),
        (
            (),
            {
                "lambda__invoke": lambda **_: {
                    "StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "boom"}'),
                }
            },
            "Version 7 does not answer GET /v1/health",
        ),
        (
            (),
            {
                "lambda__list_provisioned_concurrency_configs": {
                    "ProvisionedConcurrencyConfigs": [
                        {"FunctionArn": f"{ARN}:live", "Status": "READY"},
                        {"FunctionArn": f"{ARN}:7", "Status": "READY"},
                    ]
                }
            },
            "Version 7 has provisioned concurrency of its own",
        ),
        ((), {"lambda__get_alias": DENIED}, "not permitted: lambda:GetAlias"),
        ((), {"lambda__update_alias": DENIED}, "not permitted: lambda:UpdateAlias"),
        ((), {"cloudformation__describe_stacks": exceptions.NoCredentialsError()}, "no usable AWS credentials"),
    ],
)  # fmt: skip
def test_what_cannot_serve_or_be_done_is_rejected_and_nothing_is_pinned(
    options: tuple[str, ...], answers: dict[str, Scripted], sentence: str, bench: Bench
) -> None:
    cloud = Cloud(**answers)
    code, text = bench.run(cloud, *options)
    assert (code, cloud.version, bench.pin) == (2, "8", None)
    assert sentence in text


def test_a_version_that_does_not_answer_can_be_forced(bench: Bench) -> None:
    failing = {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": b"{}"}
    cloud = Cloud(lambda__invoke=failing)
    assert bench.run(cloud, "--force")[0] == 0
    assert cloud.version == "7"


@pytest.mark.parametrize(
    "answers",
    [
        {"lambda__invoke": DENIED},
        {"lambda__invoke": ("TooManyRequestsException", "Rate Exceeded.", 429)},
        {"lambda__invoke": exceptions.EndpointConnectionError(endpoint_url="https://example.com")},
        {"ecr__describe_images": DENIED},
        {"lambda__get_function": {"Configuration": {"State": "Inactive"}, "Code": {}}},
    ],
)
def test_what_could_not_be_checked_is_noted_and_does_not_stop_a_rollback(answers: Any, bench: Bench) -> None:
    cloud = Cloud(**answers)
    code, text = bench.run(cloud)
    assert (code, cloud.version) == (0, "7")
    assert "note: " in text


def test_a_version_that_hangs_is_rejected(bench: Bench) -> None:
    cloud = Cloud(lambda__invoke=exceptions.ReadTimeoutError(endpoint_url="https://example.com"))
    code, text = bench.run(cloud)
    assert (code, cloud.version) == (2, "8")
    assert "does not answer GET /v1/health (nothing within 75 s)" in text


class Deploying(Cloud):
    """A CodeDeploy deployment in progress, which ends some polls after it was stopped."""

    def __init__(self, *, polls: int = 2, rollback: str = "", weights: dict[str, float] | None = None) -> None:
        self.left: int | None = None
        self.polls, self.rollback = polls, rollback
        super().__init__("7", weights)
        self.aws._scripts |= {
            **stack(*CODEDEPLOY),
            "codedeploy.list_deployment_groups": {"deploymentGroups": ["loupe-prod-group"]},
            "codedeploy.get_deployment_group": {
                "deploymentGroupInfo": {"lastAttemptedDeployment": {"deploymentId": "d-1"}}
            },
            "codedeploy.get_deployment": self.describe,
            "codedeploy.stop_deployment": self.stop,
        }

    def stop(self, **_: Any) -> Any:
        self.left = self.polls
        return {"status": "Pending"}

    def describe(self, **arguments: Any) -> Any:
        status = "InProgress"
        if self.left is not None:
            self.left -= 1
            first, second = ("Stopped", "InProgress") if self.rollback else ("Stopped", "Succeeded")
            status = first if self.left <= 0 else "InProgress"
            if arguments["deploymentId"] == self.rollback:
                status = "Succeeded" if self.left <= -3 else second
        rollback = {"rollbackInfo": {"rollbackDeploymentId": self.rollback}} if self.rollback else {}
        return {"deploymentInfo": {"status": status, "createTime": NOW - timedelta(minutes=3), **rollback}}


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


def test_a_deployment_that_does_not_stop_leaves_everything_as_it_was(bench: Bench) -> None:
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


def test_production_is_confirmed(bench: Bench) -> None:
    cloud = Cloud()
    code, text = bench.run(cloud, production=True)
    assert (code, cloud.version, bench.pin) == (2, "8", None)
    assert (
        "This moves prod from version 8 to version 7. Go on? There is no terminal to ask: confirm with YES=1." in text
    )
    assert bench.run(cloud, "--yes", production=True)[0] == 0
    assert cloud.version == "7"


@pytest.mark.parametrize(("answer", "version"), [("y\n", "7"), ("n\n", "8")])
def test_the_question_is_asked_on_a_terminal(
    answer: str, version: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = Cloud()

    class Terminal:
        def isatty(self) -> bool:
            return True

    class System:
        stdin, stderr = Terminal(), command.sys.stderr

    monkeypatch.setattr(command, "sys", System)
    monkeypatch.setattr(command.typer, "confirm", lambda *_, **__: answer.startswith("y"))
    bench.run(cloud, production=True)
    assert cloud.version == version


def test_an_earlier_pin_is_restored_if_the_move_fails(bench: Bench) -> None:
    earlier = Pin("prod", "8", "9", "2026-11-20T00:00:00Z", "slow")
    write_pin(earlier, bench.pins)
    assert bench.run(Cloud(lambda__update_alias=DENIED))[0] == 2
    assert bench.pin == earlier


def test_lifting_removes_the_pin_and_leaves_the_alias(bench: Bench) -> None:
    write_pin(Pin("prod", "7", "8", "2026-11-26T02:00:00Z", "labels are swapped"), bench.pins)
    cloud = Cloud("7")
    code, text = bench.run(cloud, "--lift")
    assert (code, bench.pin, cloud.updates) == (0, None, [])
    assert "it was pinned to version 7 (in place of 8)" in text
    assert "The alias stays on version 7; the stack's newest is 8." in text
    assert bench.run(cloud, "--lift")[0] == 2


def test_after_a_rollback_the_first_gradual_release_goes_all_at_once(bench: Bench) -> None:
    """CodeDeploy rejects a release that begins at another version than the alias's."""
    cloud = Deploying(weights={"8": 0.1})
    steps = bench.run(cloud)[1]
    all_at_once = (
        """make deploy ENV=prod SETTINGS='{"release": {"strategy": "all_at_once"}}', then make deploy ENV=prod"""
    )
    assert all_at_once in steps
    assert all_at_once in bench.run(cloud, "--lift")[1]
    # Without CodeDeploy an ordinary deployment does.
    assert "all_at_once" not in bench.run(Cloud())[1]


def test_a_damaged_pin_is_rejected_and_can_be_lifted(bench: Bench) -> None:
    write_pin(Pin("prod", "7", "8", "2026-11-26T02:00:00Z", "x"), bench.pins)
    for damage in ("{", "[]", '{"version": "7"}', '{"version": "x", "replaced": "8", "since": "s", "reason": "r"}'):
        pin_file("prod", bench.pins).write_text(damage)
        with pytest.raises(PinError, match=r"correct it, or delete it"):
            read_pin("prod", bench.pins)
        assert bench.run(Cloud())[0] == 2
    assert bench.run(Cloud(), "--lift")[0] == 0
    assert bench.pin is None


def _made(*arguments: str, **variables: str) -> str:
    run = subprocess.run(
        ["make", "--no-print-directory", "-n", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return " ".join(run.stdout.replace("\\\n", " ").split())


def test_only_the_command_line_of_make_chooses_what_is_rolled_back() -> None:
    """CI systems set variables such as VERSION for purposes of their own."""
    assert _made("rollback", "ENV=prod", VERSION="9", YES="1", LIFT="1", FORCE="1").endswith(
        "-m tools.rollback --env prod"
    )
    assert _made("rollback", "ENV=prod", "VERSION=5", "REASON=labels are swapped", "YES=1", "LIFT=0").endswith(
        '-m tools.rollback --env prod --version "5" --reason "labels are swapped" --yes'
    )
    assert _made("logs", "ENV=prod", "REQUEST=a-1", "FOLLOW=1", CODE="x").endswith(
        '-m tools.logs --env prod --request "a-1" --follow'
    )


def test_a_reason_is_one_printable_line() -> None:
    assert reason_of(" a\x1b[2J\nb ") == "a [2J b"
    assert reason_of(None) == reason_of(" \n") == "no reason was given"
    assert len(reason_of("x" * 5000)) == 500
