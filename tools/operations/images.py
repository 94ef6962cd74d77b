"""Container images of versions: the reference that Lambda names, and whether ECR still has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tools.doctor.aws import Aws, CallError

# Account, repository and reference of an image in ECR, by digest or tag.
_URI = re.compile(r"(?:(\d{12})\.dkr\.ecr\.[a-z0-9-]+\.[a-z.]+/)?([a-z0-9._/-]+?)(?:@(sha256:[0-9a-f]{64})|:([\w.-]+))")
# ECR API reference, DescribeImages: imageIds, and its errors.
_IMAGES_AT_ONCE = 100
_NOT_FOUND = ("ImageNotFoundException", "RepositoryNotFoundException")


class Image(NamedTuple):
    """A digest or tag of a repository; without a registry it is of the caller's account."""

    registry: str | None
    repository: str
    digest: str | None
    tag: str | None


def parse(uri: str) -> Image | None:
    """Return the image of a URI such as ``123456789012.dkr.ecr.eu-central-1.amazonaws.com/loupe@sha256:...``."""
    match = _URI.fullmatch(uri)
    return None if match is None else Image(*match.groups())


def missing(aws: Aws, images: Sequence[Image]) -> Iterator[Image]:
    """Yield the images of one repository that ECR does not have: one call for all, one for each only if that fails.

    DescribeImages fails for all if one is missing. BatchGetImage would list those, but takes an OCI image for missing.

    Raises
    ------
    CallError
    """
    for begin in range(0, len(images), _IMAGES_AT_ONCE):
        some = images[begin : begin + _IMAGES_AT_ONCE]
        if not _exist(aws, some):
            yield from some if len(some) == 1 else (image for image in some if not _exist(aws, [image]))


def _exist(aws: Aws, images: Sequence[Image]) -> bool:
    registry, repository, _, _ = images[0]
    try:
        response = aws.call(
            "ecr",
            "describe_images",
            repositoryName=repository,
            imageIds=[{"imageDigest": image.digest} if image.digest else {"imageTag": image.tag} for image in images],
            **({"registryId": registry} if registry else {}),
        )
    except CallError as failure:
        if failure.code in _NOT_FOUND:
            return False
        raise
    # MiniStack answers with fewer where AWS has an error.
    return len(response["imageDetails"]) == len(images)
