"""Container images of the functions: built from source when the CDK deploys, or pushed to ECR by a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

ArchitectureName = Literal["x86_64", "arm64"]
_ARCHITECTURES: Mapping[ArchitectureName, tuple[lambda_.Architecture, ecr_assets.Platform]] = {
    "x86_64": (lambda_.Architecture.X86_64, ecr_assets.Platform.LINUX_AMD64),
    "arm64": (lambda_.Architecture.ARM_64, ecr_assets.Platform.LINUX_ARM64),
}


@dataclass(frozen=True)
class EcrImage:
    """An image in ECR, by digest; by tag only in the local cloud.

    Attributes
    ----------
    account
        Account of the repository, if it is not the stack's.
    """

    architecture: ArchitectureName
    repository: str
    reference: str
    account: str | None = None


@dataclass(frozen=True)
class BuiltImage:
    """An image that the CDK builds and pushes.

    Attributes
    ----------
    exclude
        Paths of the build context that the image does not hold, in the syntax of ``.dockerignore``; they do not count
        for the asset's hash.
    """

    architecture: ArchitectureName
    context: Path
    dockerfile: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()


ContainerImage = EcrImage | BuiltImage


def lambda_architecture(image: ContainerImage) -> lambda_.Architecture:
    """Return the CDK's value for the architecture of an image."""
    return _ARCHITECTURES[image.architecture][0]


def image_code(scope: Construct, image: ContainerImage, command: str) -> lambda_.DockerImageCode:
    """Return an image with the handler that it starts. Functions with the same built image share one build.

    Parameters
    ----------
    scope
        Takes the imported repository of an image in ECR.
    """
    if isinstance(image, EcrImage):
        repository = _repository(scope, image)
        return lambda_.DockerImageCode.from_ecr(repository, tag_or_digest=image.reference, cmd=[command])
    return lambda_.DockerImageCode.from_image_asset(
        str(image.context),
        file=image.dockerfile,
        cmd=[command],
        build_args=dict(image.build_args) or None,
        platform=_ARCHITECTURES[image.architecture][1],
        ignore_mode=cdk.IgnoreMode.DOCKER,
        exclude=list(image.exclude) or None,
    )


def _repository(scope: Construct, image: EcrImage) -> ecr.IRepository:
    if image.account is None:
        return ecr.Repository.from_repository_name(scope, "Repository", image.repository)
    arn = cdk.Stack.of(scope).format_arn(
        service="ecr", resource="repository", resource_name=image.repository, account=image.account
    )
    return ecr.Repository.from_repository_attributes(
        scope, "Repository", repository_arn=arn, repository_name=image.repository
    )
