"""The ECR repository that the delivery pushes to, and who may pull from it."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.settings.delivery import RegistrySettings

_PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
# Without a manifest that is tagged an image is what a failed push left.
_UNTAGGED_DAYS = 1


class ImageRegistry(Construct):
    """Immutable tags, scan on push; no rule deletes a tagged image, because a retained version may need it.

    Parameters
    ----------
    accounts
        Accounts whose functions run the images, the registry's own included if it has one.
    """

    def __init__(self, scope: Construct, id: str, *, settings: RegistrySettings, accounts: Sequence[str]) -> None:
        super().__init__(scope, id)
        key = None if settings.kms_key is None else kms.Key.from_key_arn(self, "Key", settings.kms_key)
        self.repository = ecr.Repository(
            self,
            "Repository",
            repository_name=settings.repository,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=ecr.RepositoryEncryption.AES_256 if key is None else ecr.RepositoryEncryption.KMS,
            encryption_key=key,
            lifecycle_rules=[
                ecr.LifecycleRule(
                    description="Delete what failed pushes left; images with a tag stay",
                    tag_status=ecr.TagStatus.UNTAGGED,
                    max_image_age=cdk.Duration.days(_UNTAGGED_DAYS),
                )
            ],
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        for account in accounts:
            self._allow(account, settings.region)

    def _allow(self, account: str, region: str) -> None:
        """Let an account's functions run the images.

        Lambda's service principal pulls them, and whoever creates or updates the function must be allowed to read them
        (Lambda developer guide, 'Amazon ECR cross-account permissions').
        """
        functions = f"arn:{cdk.Aws.PARTITION}:lambda:{region}:{account}:function:loupe-*"
        self.repository.add_to_resource_policy(
            iam.PolicyStatement(
                sid=f"Lambda{account}",
                actions=list(_PULL),
                principals=[iam.ServicePrincipal("lambda.amazonaws.com")],
                # The documented condition; the ARN has the account in it.
                conditions={"ArnLike": {"aws:SourceArn": functions}},
            )
        )
        if account != cdk.Stack.of(self).account:
            self.repository.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=f"Account{account}", actions=list(_PULL), principals=[iam.AccountPrincipal(account)]
                )
            )
