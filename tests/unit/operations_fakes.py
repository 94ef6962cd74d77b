"""AWS as the operator's commands meet it: botocore's stubs, answering as the arguments ask, and failing as AWS does.

`Cloud` and `Deploying` are what a rollback changes, and `Bench` runs the command against them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from doctor_fakes import ACCOUNT, REGION, Answer, StubbedAws
from typer.testing import CliRunner

from infra.pins import Pin, read_pin
from tools.operations.target import Target
from tools.rollback import __main__ as rollback_command

FUNCTION = "loupe-prod"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION}"
NOW = datetime.now(UTC)
DENIED = ("AccessDeniedException", "User: arn:aws:iam::1:user/me is not authorized to perform this", 403)
Scripted = Answer | Exception | Callable[..., Answer]
RESOURCES = (
    ("ClassifierFunction1A3EEE90", "AWS::Lambda::Function", FUNCTION),
    ("BulkFunction4D271BDD", "AWS::Lambda::Function", f"{FUNCTION}-bulk"),
    ("CustomS3AutoDelete", "AWS::Lambda::Function", "Loupe-prod-CustomS3AutoDelete-1A2B"),
    ("ClassifierFunctionCurrentVersion1B06", "AWS::Lambda::Version", f"{ARN}:8"),
    ("BulkFunctionCurrentVersion53A2", "AWS::Lambda::Version", f"{ARN}-bulk:3"),
    ("ApiAccessLog713001CC", "AWS::Logs::LogGroup", "Loupe-prod-ApiAccessLog713001CC-X"),
    ("ApiDeploymentStagelive81577178", "AWS::ApiGateway::Stage", "live"),
    ("Alarm1", "AWS::CloudWatch::Alarm", f"{FUNCTION}-FunctionErrorRate"),
    ("Alarm2", "AWS::CloudWatch::Alarm", f"{FUNCTION}-ApiLatencyP99"),
    ("Outage", "AWS::CloudWatch::CompositeAlarm", f"{FUNCTION}-Outage"),
    ("BulkArrivalsQueue3B1D2F23", "AWS::SQS::Queue", f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/Queue-1"),
    ("BulkArrivalsDeadLettersCA7D", "AWS::SQS::Queue", f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/DeadLetters-1"),
    ("BulkStateMachine62C2", "AWS::StepFunctions::StateMachine", f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:x"),
    ("Budget", "AWS::Budgets::Budget", "Loupe-prod-Budget"),
)
IMAGE = f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/team/loupe@sha256:{'0a' * 32}"
OK_ANSWER = json.dumps({"statusCode": 200, "body": "{}"}).encode()
CODEDEPLOY = (
    ("ReleaseApplication", "AWS::CodeDeploy::Application", "loupe-prod-app"),
    ("ReleaseGroup", "AWS::CodeDeploy::DeploymentGroup", "loupe-prod-group"),
)


def stack(*more: tuple[str, str, str], status: str = "UPDATE_COMPLETE", reason: str = "") -> dict[str, Scripted]:
    """CloudFormation's answers about stack Loupe-prod, its resources on two pages."""
    outputs = {
        "FunctionName": FUNCTION,
        "FunctionAlias": f"{ARN}:live",
        "Url": "http://127.0.0.1:9/live/",
    }
    described = {
        "StackName": "Loupe-prod",
        "CreationTime": NOW - timedelta(days=9),
        "LastUpdatedTime": NOW - timedelta(hours=3),
        "StackStatus": status,
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
        **({"StackStatusReason": reason} if reason else {}),
    }
    summaries = [
        {
            "LogicalResourceId": logical,
            "ResourceType": kind,
            "PhysicalResourceId": physical,
            "LastUpdatedTimestamp": NOW,
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for logical, kind, physical in (*RESOURCES, *more)
    ]

    def resources(**arguments: Any) -> dict[str, Any]:
        assert arguments["StackName"] == "Loupe-prod"
        if "NextToken" in arguments:
            return {"StackResourceSummaries": summaries[5:]}
        return {"StackResourceSummaries": summaries[:5], "NextToken": "more"}

    return {
        "cloudformation.describe_stacks": {"Stacks": [described]},
        "cloudformation.list_stack_resources": resources,
    }


class ScriptedAws(StubbedAws):
    """Each operation has an answer, or a function that returns it; `requests` has the arguments of each call."""

    def __init__(self, answers: Mapping[str, Scripted], region: str = REGION) -> None:
        super().__init__({}, region)
        self._scripts = dict(answers)
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, **arguments: Any) -> Any:
        name = f"{service}.{operation}"
        self.requests.append((name, dict(arguments)))
        assert name in self._scripts, f"{name} was not expected"
        answer = self._scripts[name]
        self._answers = {name: answer(**arguments) if callable(answer) else answer}
        return super().call(service, operation, **arguments)

    def arguments(self, name: str) -> list[dict[str, Any]]:
        return [arguments for called, arguments in self.requests if called == name]


def target(answers: Mapping[str, Scripted]) -> Target:
    return Target("prod", ScriptedAws(answers))


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
        monkeypatch.setattr(rollback_command.time, "sleep", self._wait)

    def _wait(self, seconds: float) -> None:
        self.waited += seconds

    def run(self, cloud: Cloud, *options: str, production: bool = False) -> tuple[int, str]:
        target = Target("prod", cloud.aws, production=production, pins=self.pins)
        self._monkeypatch.setattr(rollback_command, "connect", lambda *_, **__: target)
        result = CliRunner().invoke(rollback_command.app, ["--env", "prod", *options])
        assert "Traceback" not in result.output
        return result.exit_code, result.output

    @property
    def pin(self) -> Pin | None:
        return read_pin("prod", self.pins)


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
