"""Template properties that MiniStack's CloudFormation ignores, applied after a deployment: reserved concurrency."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from localcloud.aws import Account


def complete(account: Account, assembly: Path) -> None:
    """Set the properties of a cloud assembly that MiniStack ignored on the deployed resources."""
    functions = account.client("lambda")
    for name, properties in _functions(account, assembly):
        reserved = properties.get("ReservedConcurrentExecutions")
        if reserved is None:
            functions.delete_function_concurrency(FunctionName=name)
        else:
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=int(reserved))


def _functions(account: Account, assembly: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Physical name and template properties of every deployed function."""
    cloudformation = account.client("cloudformation")
    for path in sorted(assembly.glob("*.template.json")):
        resources = json.loads(path.read_text(encoding="utf-8")).get("Resources", {})
        for logical, resource in resources.items():
            if resource["Type"] == "AWS::Lambda::Function":
                stack = path.name.removesuffix(".template.json")
                detail = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical)
                yield detail["StackResourceDetail"]["PhysicalResourceId"], resource["Properties"]
