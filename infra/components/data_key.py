"""The KMS key of stored data: AWS-owned, created by the stack, or given by its ARN."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct


def data_key(scope: Construct, *, environment: str, setting: str, removal_policy: cdk.RemovalPolicy) -> kms.IKey | None:
    """Return the key that ``protection.kms_key`` selects: None for AWS-owned keys.

    A given key keeps its own policy; docs/security.md has the statement that CloudWatch needs.
    """
    if setting == "aws":
        return None
    if setting != "customer":
        return kms.Key.from_key_arn(scope, "DataKey", setting)
    key = kms.Key(
        scope,
        "DataKey",
        alias=f"alias/loupe-{environment}",
        description=f"loupe-{environment}: logs, uploads, API keys, alarm messages",
        enable_key_rotation=True,
        removal_policy=removal_policy,
    )
    allow_alarms_to_publish(key)
    stack = cdk.Stack.of(scope)
    # "Encrypt log data in CloudWatch Logs using AWS KMS": the service, for log groups of this account and region.
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="LogGroupsOfThisAccount",
            principals=[iam.ServicePrincipal(f"logs.{stack.region}.{stack.url_suffix}")],
            actions=[
                "kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey",
            ],
            resources=["*"],
            conditions={
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": stack.format_arn(
                        service="logs", resource="log-group", resource_name="*",
                        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                    )
                }
            },
        )
    )  # fmt: skip
    return key


def allow_alarms_to_publish(key: kms.Key) -> None:
    """Allow this account's alarms to publish to a topic with this key; the AWS-managed key for SNS does not."""
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="AlarmsOfThisAccount",
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=["*"],
            conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}},
        )
    )
