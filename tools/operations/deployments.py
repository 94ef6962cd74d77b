"""CodeDeploy deployments of the classifier's alias, where the stack releases with CodeDeploy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from tools.doctor.aws import Aws
from tools.operations.stack import Stack

# States of a deployment that has not ended (CodeDeploy API reference, DeploymentInfo).
UNFINISHED = ("Created", "Queued", "InProgress", "Baking", "Ready")


class Deployment(NamedTuple):
    """A deployment: id, group, status, when it began, why it failed, the deployment that rolls it back, and the
    one that it rolls back itself.
    """

    id: str
    group: str
    status: str
    begun: datetime | None
    error: str = ""
    rolled_back_by: str = ""
    rolls_back: str = ""

    @property
    def unfinished(self) -> bool:
        return self.status in UNFINISHED


def deployments(aws: Aws, stack: Stack) -> Iterator[Deployment]:
    """Yield the last deployment that was attempted of each deployment group of the stack.

    A group runs one deployment at a time, so an unfinished one is the last.

    Raises
    ------
    CallError
    """
    for application in stack.physical("AWS::CodeDeploy::Application"):
        for group in aws.pages("codedeploy", "list_deployment_groups", "deploymentGroups", applicationName=application):
            response = aws.call(
                "codedeploy", "get_deployment_group", applicationName=application, deploymentGroupName=group
            )
            last = response["deploymentGroupInfo"].get("lastAttemptedDeployment")
            if last and last.get("deploymentId"):
                yield describe(aws, str(last["deploymentId"]))


def describe(aws: Aws, deployment_id: str) -> Deployment:
    """Describe one deployment.

    Raises
    ------
    CallError
    """
    info: dict[str, Any] = aws.call("codedeploy", "get_deployment", deploymentId=deployment_id)["deploymentInfo"]
    error = info.get("errorInformation") or {}
    return Deployment(
        deployment_id,
        str(info.get("deploymentGroupName", "")),
        str(info["status"]),
        info.get("createTime"),
        str(error.get("message") or error.get("code") or ""),
        str((info.get("rollbackInfo") or {}).get("rollbackDeploymentId") or ""),
        str((info.get("rollbackInfo") or {}).get("rollbackTriggeringDeploymentId") or ""),
    )
