"""AWS as the operator's commands meet it: botocore's stubs, answering as the arguments ask, and failing as AWS does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from doctor_fakes import ACCOUNT, REGION, Answer, StubbedAws

from tools.operations.target import Target

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
