"""A deployed environment, read by the CDK's lookup role: outputs of its stack, and the value of an API key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.settings import Settings
from tools.delivery.errors import DeliveryError
from tools.doctor.aws import is_missing_stack
from tools.region import configured_region

QUALIFIER = "hnb659fds"
_SESSION = "loupe-delivery"


def lookup_role(account: str, region: str, qualifier: str = QUALIFIER) -> str:
    """Return the ARN of the role with which the CDK reads an account (``ReadOnlyAccess``, no decryption)."""
    return f"arn:aws:iam::{account}:role/cdk-{qualifier}-lookup-role-{account}-{region}"


def lookup_session(settings: Settings, qualifier: str = QUALIFIER) -> boto3.Session:
    """Return a session with the lookup role of an environment's account and region.

    A delivery role may assume the bootstrap roles and nothing else, so that everything it reads is read by this role.

    Raises
    ------
    DeliveryError
        If the role cannot be assumed.
    """
    region = settings.region or configured_region()
    if region is None:
        raise DeliveryError("No region is configured: set AWS_REGION, or environments.<name>.region.")
    try:
        sts = boto3.client("sts", region_name=region)
        account = settings.account or sts.get_caller_identity()["Account"]
        role = lookup_role(account, region, qualifier)
        keys = sts.assume_role(RoleArn=role, RoleSessionName=_SESSION)["Credentials"]
    except (ClientError, BotoCoreError) as error:
        raise DeliveryError(f"The lookup role of {settings.environment} cannot be assumed: {error}") from error
    return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=region)


def outputs(cloudformation: Any, stack: str) -> Mapping[str, str]:
    """Return the outputs of a stack by name; empty if there is no such stack.

    Raises
    ------
    DeliveryError
        If AWS rejects the call.
    """
    try:
        (description,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if is_missing_stack(error.response["Error"]["Code"], str(error)):
            return {}
        raise DeliveryError(f"CloudFormation: {error}") from error
    except BotoCoreError as error:
        raise DeliveryError(f"CloudFormation: {error}") from error
    return {item["OutputKey"]: item["OutputValue"] for item in description.get("Outputs", [])}


def api_key(gateway: Any, stack: Mapping[str, str]) -> str | None:
    """Return the value of the stack's first API key, or None if it has none.

    Raises
    ------
    DeliveryError
        If AWS rejects the call.
    """
    key_id = stack.get("ApiKeyId")
    if key_id is None:
        return None
    try:
        value: str = gateway.get_api_key(apiKey=key_id, includeValue=True)["value"]
    except (ClientError, BotoCoreError) as error:
        raise DeliveryError(f"The API key {key_id} cannot be read: {error}") from error
    return value
