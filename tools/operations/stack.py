"""The deployed stack: its state, its outputs, and the physical names of its resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from tools.doctor.aws import Aws, CallError, is_missing_stack
from tools.operations.target import OperationError, Target


class NotDeployedError(OperationError):
    """There is no such stack in this account and region."""


class Resource(NamedTuple):
    """One resource: logical ID, type and physical ID (a name, an ARN or, of a queue, its URL)."""

    logical: str
    kind: str
    physical: str


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation describes it.

    Attributes
    ----------
    changed
        When it was last created or updated.
    """

    name: str
    status: str
    reason: str
    description: str
    changed: datetime | None
    outputs: Mapping[str, str]
    resources: Sequence[Resource]

    def physical(self, kind: str, logical: str = "") -> list[str]:
        """Return the physical IDs of resources of a type whose logical ID contains a text."""
        return [item.physical for item in self.resources if item.kind == kind and logical in item.logical]

    @property
    def function(self) -> str:
        """Name of the classifier's function.

        Raises
        ------
        OperationError
            If the stack has no such output.
        """
        try:
            return self.outputs["FunctionName"]
        except KeyError:
            raise OperationError(
                f"Stack {self.name} ({self.status}) has no output FunctionName: its creation did not finish."
            ) from None

    @property
    def alias(self) -> str:
        """Name of the alias that the API calls."""
        return self.outputs.get("FunctionAlias", "").rpartition(":")[2] or "live"

    @property
    def version(self) -> str | None:
        """The version that the last deployment published for the classifier."""
        arns = [arn for arn in self.physical("AWS::Lambda::Version") if arn.split(":")[6:7] == [self.function]]
        # While the stack is updated, the version before is a resource of it, too.
        return max((arn.rpartition(":")[2] for arn in arns), key=int, default=None)


def read_stack(target: Target) -> Stack:
    """Describe the stack of an environment.

    Raises
    ------
    NotDeployedError
        If there is none.
    CallError
    """
    aws = target.aws
    try:
        description = aws.call("cloudformation", "describe_stacks", StackName=target.stack)["Stacks"][0]
    except CallError as failure:
        if not is_missing_stack(failure.code, failure.summary):
            raise
        deploy = "make up" if target.local else f"make deploy ENV={target.environment}"
        raise NotDeployedError(
            f"There is no stack {target.stack} in {aws.region} of these credentials' account. Check AWS_PROFILE and "
            f"the region, or deploy it: {deploy}."
        ) from None
    return Stack(
        name=target.stack,
        status=str(description["StackStatus"]),
        reason=str(description.get("StackStatusReason") or ""),
        description=str(description.get("Description") or ""),
        changed=description.get("LastUpdatedTime") or description.get("CreationTime"),
        outputs={item["OutputKey"]: item["OutputValue"] for item in description.get("Outputs", [])},
        resources=_resources(aws, target.stack),
    )


def _resources(aws: Aws, stack: str) -> list[Resource]:
    return [
        Resource(item["LogicalResourceId"], item["ResourceType"], item["PhysicalResourceId"])
        for item in aws.pages("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack)
        # Of a resource that is being created it may be missing.
        if item.get("PhysicalResourceId")
    ]
