"""The container image in ECR: present by its digest, with a media type and an architecture that Lambda runs."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from infra.settings import Settings
from tools.doctor.aws import Aws, CallError
from tools.doctor.findings import Finding, error, ok, warning

CHECK = "image"
ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_MAX_CONFIG_BYTES = 1024 * 1024
# Address -> bytes; raises OSError.
Download = Callable[[str], bytes]


def download(url: str) -> bytes:
    """Fetch an image's configuration from the address that ECR signed."""
    if not url.startswith("https://"):
        raise OSError("the address is not an https one")
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - https, checked above
        content: bytes = response.read(_MAX_CONFIG_BYTES)
    return content


def check(settings: Settings, aws: Aws, account: str, qualifier: str, get: Download) -> Iterator[Finding]:
    """Check each image that the stack takes from ECR, and the repository that built images are pushed to."""
    image, jwt = settings.image, settings.auth.jwt
    if image.source == "ecr":
        yield from _check(settings, aws, (image.account, image.repository or ""), image.reference, get)
    if jwt is not None and jwt.image is not None:
        yield from _check(settings, aws, (jwt.image.account, jwt.image.repository), jwt.image.reference, get)
    if image.source == "asset" or (jwt is not None and jwt.image is None):
        yield _asset_repository(aws, account, qualifier)


def _asset_repository(aws: Aws, account: str, qualifier: str) -> Finding:
    repository = f"cdk-{qualifier}-container-assets-{account}-{aws.region}"
    try:
        aws.call("ecr", "describe_repositories", repositoryNames=[repository])
    except CallError as failure:
        if failure.code != "RepositoryNotFoundException":
            raise
        return error(
            CHECK,
            f"There is no repository {repository}, to which the image is pushed.",
            f"node_modules/.bin/cdk bootstrap aws://{account}/{aws.region}",
        )
    return ok(CHECK, f"The image is built and pushed to {repository}.")


def _check(
    settings: Settings, aws: Aws, home: tuple[str | None, str], reference: str, get: Download
) -> Iterator[Finding]:
    account, repository = home
    # Without a registry ECR looks in the account of the credentials.
    registry = {"registryId": account} if account else {}
    name = f"{repository}@{reference}"
    key = "imageDigest" if reference.startswith("sha256:") else "imageTag"
    try:
        response = aws.call(
            "ecr",
            "batch_get_image",
            **registry,
            repositoryName=repository,
            imageIds=[{key: reference}],
            acceptedMediaTypes=[*_MANIFESTS, *_INDEXES],
        )
    except CallError as failure:
        if failure.code != "RepositoryNotFoundException":
            raise
        yield error(
            CHECK,
            f"There is no repository {repository} in {aws.region}{f' of account {account}' if account else ''}.",
            "Push the image to a repository of the stack's region, and name it in image.repository.",
        )
        return
    if not response.get("images"):
        reason = next((str(item.get("failureReason", "")) for item in response.get("failures", [])), "")
        yield error(
            CHECK,
            f"{name} is not in ECR{f': {reason}' if reason else ''}.",
            f"Push it, or take a digest that is there: aws ecr describe-images --repository-name {repository}",
        )
        return
    manifest = _manifest(response["images"][0])
    if manifest.get("mediaType") in _INDEXES or "manifests" in manifest:
        yield error(
            CHECK,
            f"{name} is an index of several images, which Lambda does not run.",
            f"Build one image: docker build --platform linux/{ARCHITECTURES[settings.function.architecture]} "
            "--provenance=false --sbom=false, and use the digest of that.",
        )
        return
    yield _architecture(settings, aws, {**registry, "repositoryName": repository}, name, manifest, get)


def _manifest(image: dict[str, Any]) -> dict[str, Any]:
    try:
        manifest = json.loads(image.get("imageManifest") or "{}")
    except ValueError:
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _architecture(
    settings: Settings, aws: Aws, home: dict[str, str], name: str, manifest: dict[str, Any], get: Download
) -> Finding:
    expected = ARCHITECTURES[settings.function.architecture]
    try:
        digest = manifest["config"]["digest"]
        response = aws.call("ecr", "get_download_url_for_layer", **home, layerDigest=digest)
        architecture = json.loads(get(response["downloadUrl"]))["architecture"]
    except (CallError, OSError, ValueError, KeyError, TypeError) as failure:
        return warning(
            CHECK,
            f"{name} is in ECR; its architecture could not be read ({failure}).",
            f"Make sure that it was built with --platform linux/{expected}.",
        )
    if architecture != expected:
        return error(
            CHECK,
            f"{name} is for {architecture}, and function.architecture is {settings.function.architecture}.",
            f"Build it with --platform linux/{expected}, or change function.architecture.",
        )
    return ok(CHECK, f"{name} is in ECR, for {architecture}.")
