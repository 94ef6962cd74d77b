"""Push container images to ECR, and read their digests."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from infra.settings.delivery import RegistrySettings
from tools.delivery.builds import Build
from tools.delivery.errors import DeliveryError

_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class Pusher(Protocol):
    """The container engine, as far as a push needs it."""

    def push(self, tag: str, remote: str, registry: str, token: str, folder: Path) -> None: ...


def push(build: Build, settings: RegistrySettings, ecr: Any, engine: Pusher, report: Callable[[str], None]) -> str:
    """Push an image unless its commit's tag exists, and return its digest.

    Tags are immutable: a repeated workflow run gets the image of its first run, so that every environment runs the
    bytes that were tested.

    Parameters
    ----------
    ecr
        A boto3 client of the registry's region.

    Raises
    ------
    DeliveryError
        If AWS rejects a call, or the image is one that Lambda does not run.
    """
    try:
        digest = _digest(ecr, settings, build.remote_tag)
        if digest is not None:
            report(f"{settings.repository}:{build.remote_tag} is in ECR already: {digest}")
            return digest
        reply = ecr.get_authorization_token()["authorizationData"][0]
        registry = urlsplit(reply["proxyEndpoint"]).netloc
        if not registry.startswith(f"{settings.account}."):
            raise DeliveryError(
                f"The credentials are of another account than delivery.registry.account ({settings.account})."
            )
        remote = f"{registry}/{settings.repository}:{build.remote_tag}"
        with tempfile.TemporaryDirectory() as folder:
            engine.push(build.local_tag, remote, registry, reply["authorizationToken"], Path(folder))
        digest = _digest(ecr, settings, build.remote_tag)
    except (ClientError, BotoCoreError) as error:
        raise DeliveryError(f"ECR: {error}") from error
    if digest is None:
        raise DeliveryError(f"{remote} was pushed, and ECR has no such image.")
    report(f"{settings.repository}:{build.remote_tag} pushed: {digest}")
    return digest


def _digest(ecr: Any, settings: RegistrySettings, tag: str) -> str | None:
    """Return the digest of a tag, or None if there is no such image."""
    try:
        reply = ecr.describe_images(
            registryId=settings.account, repositoryName=settings.repository, imageIds=[{"imageTag": tag}]
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ImageNotFoundException":
            return None
        if code == "RepositoryNotFoundException":
            raise DeliveryError(
                f"There is no repository {settings.repository} in {settings.account}: run `make delivery-deploy`."
            ) from None
        raise
    (image,) = reply["imageDetails"]
    if image.get("imageManifestMediaType") in _INDEXES:
        raise DeliveryError(
            f"{settings.repository}:{tag} is an index of several images, which Lambda does not run: build it without "
            "attestations (BUILDX_NO_DEFAULT_ATTESTATIONS=1) under another commit."
        )
    digest: str = image["imageDigest"]
    return digest
