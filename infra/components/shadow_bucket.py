"""The bucket of samples that are larger than an event: the classifier function writes, the shadow function reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.components.acknowledge import acknowledge
from infra.deployment import Deployment

PREFIX = "shadow/"
# Reason for the wildcard; docs/security.md shows it, too (tools/policies.py).
SAMPLES_WILDCARD = "Each sample gets a random key below this prefix; the prefix is all that can be named beforehand."
_REASONS = {
    "LoggingEnabled": "Samples are written by one function and read by another, which log each comparison; access logs "
    "would outlive what they tell about.",
    "ReplicationEnabled": "A sample is a copy of an image for one comparison, expired after a day; a lost one is not "
    "compared.",
    "VersioningEnabled": "Each sample gets a key of its own, never written again; versions would keep what is to be "
    "expired after a day.",
}


class SampleBucket(Construct):
    """Private and encrypted; objects expire after a day."""

    def __init__(
        self, scope: Construct, id: str, *, deployment: Deployment, writer: iam.IRole, reader: iam.IRole
    ) -> None:
        super().__init__(scope, id)
        key = deployment.encryption_key
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.S3_MANAGED if key is None else s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=None if key is None else True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="a-day",
                    expiration=cdk.Duration.days(1),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
                )
            ],
            removal_policy=deployment.removal_policy,
        )
        stack = cdk.Stack.of(self)
        name = stack.resolve(self.bucket.bucket_arn)["Fn::GetAtt"][0]
        through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"}}
        for role, action, key_action in (
            (writer, "s3:PutObject", "kms:GenerateDataKey"),
            (reader, "s3:GetObject", "kms:Decrypt"),
        ):
            _grant(role, action, f"{self.bucket.bucket_arn}/{PREFIX}*")
            if key is not None:
                _grant(role, key_action, key.key_arn, through_s3)
            acknowledge(
                role.node.find_child("DefaultPolicy"),
                f"AwsSolutions-IAM5[Resource::<{name}.Arn>/{PREFIX}*]",
                SAMPLES_WILDCARD,
            )
        acknowledge(self.bucket, "AwsSolutions-S1", _REASONS["LoggingEnabled"])
        for rule, reason in _REASONS.items():
            acknowledge(self.bucket, f"NIST.800.53.R5-S3Bucket{rule}", reason)


def _grant(role: iam.IRole, action: str, resource: str, conditions: Mapping[str, Any] | None = None) -> None:
    role.add_to_principal_policy(iam.PolicyStatement(actions=[action], resources=[resource], conditions=conditions))
