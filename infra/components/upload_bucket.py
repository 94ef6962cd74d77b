"""The bucket for images above the request size limit: private, encrypted, objects expire after a day."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.components.acknowledge import acknowledge
from infra.components.grants import grant
from infra.components.private_bucket import private_bucket
from infra.deployment import Deployment

PREFIX = "uploads/"
# Reasons for wildcards; docs/security.md shows them, too (tools/policies.py).
UPLOADS_WILDCARD = "Each upload gets a random key below this prefix; the prefix is all that can be named beforehand."
LOCATIONS_WILDCARD = "inputs.s3.locations names this bucket or prefix: all objects of it may be classified."
_NIST_REASONS = {
    "LoggingEnabled": "Objects live for a day and are read once by the function, whose log names each request.",
    "ReplicationEnabled": "An upload is a request's body, gone within a day; its sender has the image and sends it "
    "again.",
    "VersioningEnabled": "Each upload gets a key of its own, never written again; versions would keep what is to be "
    "forgotten within a day.",
}


class UploadBucket(Construct):
    """The function presigns uploads to the bucket and reads them; no other principal has access.

    Parameters
    ----------
    origins
        Other origins that may upload from a browser. The endpoint's own page has the API's origin, which is unknown
        before deployment, so any API of the region may upload. Without origins, every page may: the signed policy
        protects the bucket.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        role: iam.IRole,
        origins: Sequence[str],
    ) -> None:
        super().__init__(scope, id)
        stack = cdk.Stack.of(self)
        encryption_key = deployment.encryption_key
        own = f"https://*.execute-api.{stack.region}.{stack.url_suffix}"
        self.bucket = private_bucket(
            self,
            deployment=deployment,
            lifecycle_rule="a-day",
            days=1,
            reasons=_NIST_REASONS,
            cors=[
                s3.CorsRule(
                    allowed_methods=[s3.HttpMethods.POST],
                    allowed_origins=["*"] if not origins or "*" in origins else [own, *origins],
                    allowed_headers=["*"],
                )
            ],
        )
        objects = f"{self.bucket.bucket_arn}/{PREFIX}*"
        grant(role, ["s3:GetObject"], objects)
        # A presigned POST has the permissions of its signer.
        grant(role, ["s3:PutObject"], objects)
        if encryption_key is not None:
            through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"}}
            for action in ("kms:Decrypt", "kms:GenerateDataKey"):
                grant(role, [action], encryption_key.key_arn, conditions=through_s3)
        name = stack.resolve(self.bucket.bucket_arn)["Fn::GetAtt"][0]
        acknowledge(
            role.node.find_child("DefaultPolicy"),
            f"AwsSolutions-IAM5[Resource::<{name}.Arn>/{PREFIX}*]",
            UPLOADS_WILDCARD,
        )
        acknowledge(
            self.bucket,
            "AwsSolutions-S1",
            "Objects live for a day and are read once by the function, whose log names each request; server access "
            "logs would outlive what they tell about.",
        )


def grant_read(role: iam.IRole, location: str) -> None:
    """Allow the role to read the objects of ``bucket`` or ``bucket/prefix/``, without listing them."""
    objects = f"{location if '/' in location else location + '/'}*"
    for action in ("s3:GetObject", "s3:GetObjectVersion"):  # the second for requests that name a version
        grant(role, [action], f"arn:{cdk.Aws.PARTITION}:s3:::{objects}")
    acknowledge(
        role.node.find_child("DefaultPolicy"),
        f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::{objects}]",
        LOCATIONS_WILDCARD,
    )
