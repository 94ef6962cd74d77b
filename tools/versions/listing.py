"""Versions of functions, and what uses them: aliases, bulk jobs, deployments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from infra.pins import read_pin
from infra.settings import Settings
from tools.doctor.aws import Aws, CallError
from tools.operations.deployments import UNFINISHED

# Step Functions developer guide, 'Redriving state machine executions': within 14 days of the failure. A redrive
# continues with the version that its execution names.
REDRIVABLE = timedelta(days=14)
_UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")
_MISSING = "ResourceNotFoundException"
_NOT_STARTED = "StateMachineDoesNotExist"


@dataclass
class Function:
    """One function's published versions, oldest first, with why each is kept."""

    name: str
    versions: list[int]
    reasons: dict[int, list[str]] = field(default_factory=dict)

    def keep(self, version: str, reason: str) -> None:
        """Note a reason to keep a version, unless it does not exist."""
        if version.isdigit() and int(version) in self.versions:
            self.reasons.setdefault(int(version), []).append(reason)

    @property
    def unused(self) -> list[int]:
        """Versions that nothing uses."""
        return [version for version in self.versions if version not in self.reasons]


class BusyError(Exception):
    """Whether versions are unused cannot be determined now. The message is a sentence."""


def functions(settings: Settings, aws: Aws, now: datetime) -> list[Function]:
    """Return the functions that have published versions, with what uses them.

    Raises
    ------
    BusyError
        While the stack changes or a rollback of it has stopped: CloudFormation may go back to any version.
    CallError
        If AWS does not answer.
    """
    _check_stack(settings, aws)
    listed = list(published(settings, aws))
    pin = read_pin(settings.environment)
    for function in listed:
        if pin is not None and function.name == f"loupe-{settings.environment}":
            function.keep(pin.version, "pinned by make rollback")
            function.keep(pin.replaced, "make rollback went back from it")
        for version in function.versions[-settings.release.keep_versions :]:
            function.keep(str(version), f"one of the newest {settings.release.keep_versions}")
        _keep_aliases(function, aws)
    bulk = next((item for item in listed if item.name == f"loupe-{settings.environment}-bulk"), None)
    if bulk is not None:
        _keep_jobs(bulk, aws, now)
    _keep_deployments(listed, aws)
    return listed


def published(settings: Settings, aws: Aws) -> Iterator[Function]:
    """Yield the functions of an environment that have published versions."""
    name = f"loupe-{settings.environment}"
    bulk = (f"{name}-bulk", f"{name}-jobs") if settings.bulk.enabled else ()
    shadow = (f"{name}-shadow",) if settings.shadow.challenger else ()
    for function in (name, *bulk, *shadow):
        try:
            pages = list(aws.pages("lambda", "list_versions_by_function", "Versions", FunctionName=function))
        except CallError as failure:
            if failure.code == _MISSING:
                continue
            raise
        numbers = sorted(int(item["Version"]) for item in pages if item["Version"].isdigit())
        yield Function(function, numbers)


def _check_stack(settings: Settings, aws: Aws) -> None:
    stack = f"Loupe-{settings.environment}"
    (description,) = aws.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"]
    status = description["StackStatus"]
    if status.endswith("_IN_PROGRESS") or status == "UPDATE_ROLLBACK_FAILED":
        raise BusyError(
            f"{stack} is {status}, and CloudFormation may return to any version: prune when that has ended."
        )


def _keep_aliases(function: Function, aws: Aws) -> None:
    for alias in aws.pages("lambda", "list_aliases", "Aliases", FunctionName=function.name):
        function.keep(alias["FunctionVersion"], f"alias {alias['Name']}")
        for version in (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}:
            function.keep(version, f"alias {alias['Name']}, by a weight")


def _keep_jobs(function: Function, aws: Aws, now: datetime) -> None:
    """Keep the versions that jobs use: infra/components/bulk.py puts the function's ARN into their input."""
    account = aws.call("sts", "get_caller_identity")
    partition, number = account["Arn"].split(":")[1], account["Account"]
    machine = f"arn:{partition}:states:{aws.region}:{number}:stateMachine:{function.name}"
    for status in ("RUNNING", *_UNSUCCESSFUL):
        try:
            executions = aws.pages(
                "stepfunctions", "list_executions", "executions", stateMachineArn=machine, statusFilter=status
            )
            for execution in executions:
                # The list is ordered by start: a job further down may have ended later.
                if status != "RUNNING" and now - execution["stopDate"] > REDRIVABLE:
                    continue
                _keep_job(function, aws, execution["executionArn"], status)
        except CallError as failure:
            if failure.code == _NOT_STARTED:
                return
            raise


def _keep_job(function: Function, aws: Aws, arn: str, status: str) -> None:
    text = aws.call("stepfunctions", "describe_execution", executionArn=arn).get("input", "")
    named = re.search(rf":function:{re.escape(function.name)}:(\d+)", text)
    job = f"job {arn.rpartition(':')[2]}"
    if named:
        reason = f"{job} runs" if status == "RUNNING" else f"{job} can be redriven"
        function.keep(named[1], reason)
    else:
        for version in function.versions:
            function.keep(str(version), f"{job} does not say which version it uses")


def _keep_deployments(listed: list[Function], aws: Aws) -> None:
    """Keep both versions of each open deployment; all versions of a function if its AppSpec cannot be read."""
    for deployment in aws.pages("codedeploy", "list_deployments", "deployments", includeOnlyStatuses=list(UNFINISHED)):
        information = aws.call("codedeploy", "get_deployment", deploymentId=deployment)["deploymentInfo"]
        if information.get("computePlatform") != "Lambda":
            continue
        revision = information.get("revision") or {}
        content = (revision.get("appSpecContent") or revision.get("string") or {}).get("content", "")
        targets = list(_targets(content))
        for function in listed:
            if not targets:
                for version in function.versions:
                    function.keep(str(version), f"deployment {deployment} is open and does not say what it moves")
            for properties in targets:
                if str(properties.get("Name", "")).rpartition(":")[2] == function.name:
                    for key in ("CurrentVersion", "TargetVersion"):
                        function.keep(str(properties.get(key, "")), f"deployment {deployment}")


def _targets(content: str) -> Iterator[dict[str, Any]]:
    """Yield the properties of each function in an AppSpec (CodeDeploy user guide, 'AppSpec resources section')."""
    try:
        resources = json.loads(content)["resources" if '"resources"' in content else "Resources"]
        for resource in resources:
            for item in resource.values():
                yield item.get("properties") or item["Properties"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return
