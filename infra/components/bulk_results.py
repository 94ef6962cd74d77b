"""The bucket of bulk jobs: inputs that callers put there, rows, summaries and the map's own files."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.components.acknowledge import acknowledge
from infra.components.grants import grant
from infra.components.private_bucket import private_bucket
from infra.deployment import Deployment
from infra.settings.bulk import INPUTS

JOBS, UPLOADS = "jobs/", "uploads/"
# What failed in one job is the manifest of another.
FAILURES = f"{JOBS}*/failures.jsonl"
_REASONS = {
    "LoggingEnabled": "Row files are written by the bulk function and read by their owners, who are in the access log "
    "of the API; server access logs would cost a record for each image of a job.",
    "ReplicationEnabled": "Results can be made again from their inputs, and expire.",
    "VersioningEnabled": "A retry writes the same rows under the same key again; older versions would be copies.",
}


class ResultsBucket(Construct):
    """Private, encrypted, with TLS only; everything in it expires after ``days``.

    Parameters
    ----------
    events
        Whether EventBridge learns of new objects.
    """

    def __init__(self, scope: Construct, id: str, *, deployment: Deployment, days: int, events: bool) -> None:
        super().__init__(scope, id)
        self._key = deployment.encryption_key
        self.bucket = private_bucket(self, deployment=deployment, lifecycle_rule="results", days=days, reasons=_REASONS)
        if events:
            # The L2 property would add a custom resource; this is a property of the bucket.
            resource = self.bucket.node.default_child
            assert isinstance(resource, s3.CfnBucket)  # noqa: S101
            resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
            )
        acknowledge(self.bucket, "AwsSolutions-S1", _REASONS["LoggingEnabled"])

    @property
    def inputs(self) -> str:
        """Location of inputs, as ``inputs.s3.locations`` writes them."""
        return f"{self.bucket.bucket_name}/{INPUTS}"

    def allow(self, role: iam.IRole, reads: tuple[str, ...] = (), writes: tuple[str, ...] = ()) -> None:
        """Let a role read and write objects (``jobs/*``), with the bucket's key through S3."""
        for action, patterns in (("s3:GetObject", reads), ("s3:PutObject", writes)):
            for pattern in patterns:
                grant(role, [action], f"{self.bucket.bucket_arn}/{pattern}")
                self._acknowledge(role, pattern)
        if self._key is not None:
            self._allow_key(role, self._key, reads=bool(reads), writes=bool(writes))

    def allow_map_results(self, role: iam.IRole) -> None:
        """Let a role write the results of Map Runs, which may be multipart uploads.

        Step Functions developer guide, 'IAM policies for a Distributed Map state', ResultWriter.
        """
        results = f"{JOBS}*/map/*"
        self.allow(role, reads=(results,), writes=(results,))
        for action in ("s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"):
            grant(role, [action], f"{self.bucket.bucket_arn}/{results}")

    def allow_list(self, role: iam.IRole, prefixes: tuple[str, ...]) -> None:
        """Let a role list objects below these prefixes."""
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[self.bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
            )
        )

    def _allow_key(self, role: iam.IRole, key: kms.IKey, *, reads: bool, writes: bool) -> None:
        stack = cdk.Stack.of(self)
        through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"}}
        # Decrypt for multipart uploads, too (S3 user guide, 'Uploading a large object ... with SSE-KMS').
        for action, allowed in (("kms:Decrypt", reads or writes), ("kms:GenerateDataKey", writes)):
            if allowed:
                grant(role, [action], key.key_arn, conditions=through_s3)

    def _acknowledge(self, role: iam.IRole, pattern: str) -> None:
        name = cdk.Stack.of(self).resolve(self.bucket.bucket_arn)["Fn::GetAtt"][0]
        acknowledge(
            role.node.find_child("DefaultPolicy"),
            f"AwsSolutions-IAM5[Resource::<{name}.Arn>/{pattern}]",
            "Keys of this pattern are made of job ids and of what callers put there; the pattern is all that can "
            "be named beforehand.",
        )
