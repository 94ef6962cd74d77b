"""The bucket of samples that are larger than an event: the classifier function writes, the shadow function reads."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.components.acknowledge import acknowledge
from infra.components.grants import grant
from infra.components.private_bucket import private_bucket
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
        self.bucket = private_bucket(self, deployment=deployment, lifecycle_rule="a-day", days=1, reasons=_REASONS)
        stack = cdk.Stack.of(self)
        name = stack.resolve(self.bucket.bucket_arn)["Fn::GetAtt"][0]
        through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"}}
        for role, action, key_action in (
            (writer, "s3:PutObject", "kms:GenerateDataKey"),
            (reader, "s3:GetObject", "kms:Decrypt"),
        ):
            grant(role, [action], f"{self.bucket.bucket_arn}/{PREFIX}*")
            if key is not None:
                grant(role, [key_action], key.key_arn, conditions=through_s3)
            acknowledge(
                role.node.find_child("DefaultPolicy"),
                f"AwsSolutions-IAM5[Resource::<{name}.Arn>/{PREFIX}*]",
                SAMPLES_WILDCARD,
            )
        acknowledge(self.bucket, "AwsSolutions-S1", _REASONS["LoggingEnabled"])
