"""The form that all buckets of a deployment have: private, encrypted, TLS only; objects expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.components.acknowledge import acknowledge
from infra.deployment import Deployment


def private_bucket(
    scope: Construct,
    *,
    deployment: Deployment,
    lifecycle_rule: str,
    days: int,
    reasons: Mapping[str, str],
    cors: Sequence[s3.CorsRule] | None = None,
) -> s3.Bucket:
    """Add a bucket with the id ``Bucket``.

    Parameters
    ----------
    lifecycle_rule, days
        Id of the rule by which objects expire, and after how many days (S3 expires them at the next midnight UTC).
    reasons
        Why a rule of NIST 800-53 about buckets does not apply, by the end of its id, such as ``LoggingEnabled``.
    """
    key = deployment.encryption_key
    bucket = s3.Bucket(
        scope,
        "Bucket",
        encryption=s3.BucketEncryption.S3_MANAGED if key is None else s3.BucketEncryption.KMS,
        encryption_key=key,
        # A bucket key saves a KMS request for each object.
        bucket_key_enabled=None if key is None else True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        lifecycle_rules=[
            s3.LifecycleRule(
                id=lifecycle_rule,
                expiration=cdk.Duration.days(days),
                abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
            )
        ],
        cors=cors,
        removal_policy=deployment.removal_policy,
    )
    for rule, reason in reasons.items():
        acknowledge(bucket, f"NIST.800.53.R5-S3Bucket{rule}", reason)
    return bucket
