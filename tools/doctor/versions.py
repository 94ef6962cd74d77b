"""Published versions of a deployed environment: their container images still have to be in ECR.

Lambda starts an environment of a version from its image. A lifecycle rule or a person that deletes the image leaves a
version that seems to be there, and a rollback to it that fails.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from infra.settings import Settings
from tools.doctor.aws import Aws, CallError
from tools.doctor.findings import Finding, ok, warning
from tools.versions.listing import published

CHECK = "versions"
# Of each function, newest first: what a rollback would take.
MOST_VERSIONS = 20
# ECR API reference, DescribeImages: imageIds, and its errors.
_IMAGES_AT_ONCE = 100
_GONE = ("ImageNotFoundException", "RepositoryNotFoundException")
_URI = re.compile(
    r"(?P<registry>\d{12})\.dkr\.ecr\.[a-z0-9-]+\.[a-z.]+/(?P<repository>.+)@(?P<digest>sha256:[0-9a-f]{64})"
)


def check(settings: Settings, aws: Aws) -> Iterator[Finding]:
    """Check that the images of all versions exist."""
    users: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    total = 0
    for function in published(settings, aws):
        for version in function.versions[-MOST_VERSIONS:]:
            code = aws.call("lambda", "get_function", FunctionName=function.name, Qualifier=str(version))["Code"]
            if match := _URI.fullmatch(code.get("ResolvedImageUri", "")):
                total += 1
                images = users[match["registry"], match["repository"]]
                images[match["digest"]].append(f"{function.name}:{version}")
    missing = [name for (registry, repository), images in users.items()
               for digest in _missing(aws, registry, repository, list(images)) for name in images[digest]]  # fmt: skip
    if missing:
        yield warning(
            CHECK,
            f"The container image of {', '.join(sorted(missing))} is no longer in ECR: the version cannot start.",
            "Keep images of retained versions in the repository's lifecycle policy; delete such versions with "
            f"`make prune ENV={settings.environment} APPLY=1` once nothing uses them, or push the image again.",
        )
    elif total:
        yield ok(CHECK, f"The images of {total} published version{'s' if total > 1 else ''} are in ECR.")
    else:
        yield ok(CHECK, "No version is published yet.")


def _missing(aws: Aws, registry: str, repository: str, digests: list[str]) -> Iterator[str]:
    """Yield the digests that a repository does not have: one call for all, and one for each only if that fails.

    DescribeImages fails for all if one is missing. BatchGetImage would list those, but takes an OCI image for missing.
    """
    for begin in range(0, len(digests), _IMAGES_AT_ONCE):
        some = digests[begin : begin + _IMAGES_AT_ONCE]
        if not _exist(aws, registry, repository, some):
            yield from (
                some
                if len(some) == 1
                else (digest for digest in some if not _exist(aws, registry, repository, [digest]))
            )


def _exist(aws: Aws, registry: str, repository: str, digests: list[str]) -> bool:
    try:
        aws.call(
            "ecr",
            "describe_images",
            registryId=registry,
            repositoryName=repository,
            imageIds=[{"imageDigest": digest} for digest in digests],
        )
    except CallError as failure:
        if failure.code in _GONE:
            return False
        raise
    return True
