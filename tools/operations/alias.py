"""The alias that serves, the versions behind it, and provisioned concurrency, as Lambda describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.doctor.aws import Aws, CallError
from tools.operations.stack import Stack

# What makes two versions behave alike, of the configuration that ListVersionsByFunction returns.
_CONTENT = ("CodeSha256", "MemorySize", "Timeout", "Environment", "EphemeralStorage", "ImageConfigResponse")


@dataclass(frozen=True)
class Alias:
    """The alias of the classifier.

    Attributes
    ----------
    version
        Number of the version that gets what `weights` leave.
    weights
        Share of the traffic of a further version, while a shift lasts.
    """

    function: str
    name: str
    version: str
    weights: Mapping[str, float]


def read_alias(aws: Aws, stack: Stack) -> Alias:
    """Describe the alias.

    Raises
    ------
    CallError
    OperationError
        If the stack has no function.
    """
    response = aws.call("lambda", "get_alias", FunctionName=stack.function, Name=stack.alias)
    weights = (response.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return Alias(stack.function, stack.alias, str(response["FunctionVersion"]), {str(k): v for k, v in weights.items()})


def repair_command(alias: Alias) -> str:
    """Return the command that sends all traffic to the alias's own version.

    With weights left behind, the next deployment of an alias with provisioned concurrency fails ('Invalid alias
    configuration for Provisioned Concurrency').
    """
    return (
        f"aws lambda update-alias --function-name {alias.function} --name {alias.name} "
        "--routing-config AdditionalVersionWeights={}"
    )


def move_command(alias: Alias, version: str) -> str:
    return (
        f"aws lambda update-alias --function-name {alias.function} --name {alias.name} --function-version {version} "
        "--routing-config AdditionalVersionWeights={}"
    )


def published_versions(aws: Aws, function: str) -> dict[int, tuple[str, ...]]:
    """Return what all versions that exist consist of, by number in ascending order: image and configuration.

    Raises
    ------
    CallError
    """
    versions = {
        int(item["Version"]): tuple(json.dumps(item.get(key), sort_keys=True) for key in _CONTENT)
        for item in aws.pages("lambda", "list_versions_by_function", "Versions", FunctionName=function)
        if str(item["Version"]).isdecimal()
    }
    return dict(sorted(versions.items()))


def provisioned_configs(aws: Aws, function: str) -> dict[str, dict[str, Any]]:
    """Return the provisioned concurrency of a function by alias or version.

    Raises
    ------
    CallError
    """
    configs = aws.pages(
        "lambda", "list_provisioned_concurrency_configs", "ProvisionedConcurrencyConfigs", FunctionName=function
    )
    try:
        return {str(item["FunctionArn"]).rpartition(":")[2]: item for item in configs}
    except CallError as failure:
        # What MiniStack answers where AWS lists none.
        if failure.code == "ProvisionedConcurrencyConfigNotFoundException":
            return {}
        raise
