"""Published versions of a deployed environment: their container images still have to be in ECR.

Lambda starts an environment of a version from its image. A lifecycle rule or a person that deletes the image leaves a
version that seems to be there, and a rollback to it that fails.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from infra.settings import Settings
from tools.doctor.aws import Aws
from tools.doctor.findings import Finding, ok, warning
from tools.operations import images
from tools.versions.listing import published

CHECK = "versions"
# Of each function, newest first: what a rollback would take.
MAX_VERSIONS = 20


def check(settings: Settings, aws: Aws) -> Iterator[Finding]:
    """Check that the images of all versions exist."""
    users: dict[tuple[str | None, str], dict[images.Image, list[str]]] = defaultdict(lambda: defaultdict(list))
    total = 0
    for function in published(settings, aws):
        for version in function.versions[-MAX_VERSIONS:]:
            code = aws.call("lambda", "get_function", FunctionName=function.name, Qualifier=str(version))["Code"]
            if image := images.parse(code.get("ResolvedImageUri", "")):
                total += 1
                users[image.registry, image.repository][image].append(f"{function.name}:{version}")
    missing = [
        name for versions in users.values() for image in images.missing(aws, list(versions)) for name in versions[image]
    ]
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
