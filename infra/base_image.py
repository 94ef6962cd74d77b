"""The digest of the AWS base image: read from its lock file for every build, and written there by ``make lock-base``.

``function/base-image.lock`` is JSON with the image's name, the digest of each platform and the day. Without it a build
uses the image that the tag names on that day; ``image.require_locked_base`` makes that an error at synth.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.paths import PROJECT_ROOT
from infra.registry import RegistryError, platform_digests
from infra.settings import Settings, SettingsError

LOCK = PROJECT_ROOT / "function" / "base-image.lock"
DOCKERFILE = PROJECT_ROOT / "function" / "Dockerfile"
PLATFORMS: Mapping[str, str] = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BASE = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)
_LOCK_HINT = "`make lock-base` writes it; it needs a connection to the registry"


@dataclass(frozen=True)
class BaseImage:
    """A base image with the digest of each platform."""

    image: str
    digests: Mapping[str, str]

    def reference(self, architecture: str) -> str:
        """Name the image of an architecture by its digest; buildah accepts no tag in addition to a digest.

        Raises
        ------
        SettingsError
            If the lock file has no digest for it.
        """
        platform = PLATFORMS[architecture]
        if platform not in self.digests:
            raise SettingsError(f"{LOCK.name} has no digest for {platform}: {_LOCK_HINT}.")
        return f"{_repository(self.image)}@{self.digests[platform]}"


def build_args(base: str | None, architecture: str, lock: Path | None = None) -> dict[str, str]:
    """Return the build argument that names the base image; empty for the Dockerfile's own default.

    Parameters
    ----------
    base
        ``image.base`` of the settings, which takes precedence over the lock file.
    """
    if base is None and (locked := read_lock(lock)) is not None:
        base = locked.reference(architecture)
    return {"BASE": base} if base else {}


def require(settings: Settings, lock: Path | None = None) -> None:
    """Check that every image that this synth builds has a base with a digest, where the settings require it.

    Raises
    ------
    SettingsError
        If one has none.
    """
    image, jwt = settings.image, settings.auth.jwt
    builds_function = image.source == "asset"
    builds_authorizer = settings.auth.mode == "jwt" and jwt is not None and jwt.image is None
    if not image.require_locked_base:
        return
    if builds_function and image.base is not None and not _DIGEST.search(image.base):
        raise SettingsError(f"image.require_locked_base: image.base is {image.base!r}; name it as NAME@sha256:DIGEST.")
    if ((builds_function and image.base is None) or builds_authorizer) and read_lock(lock) is None:
        raise SettingsError(f"image.require_locked_base: function/{LOCK.name} is missing; {_LOCK_HINT}.")


def read_lock(path: Path | None = None) -> BaseImage | None:
    """Read the lock file, or return None if it is missing.

    Raises
    ------
    SettingsError
        If it does not have the format that ``make lock-base`` writes.
    """
    path = path or LOCK
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        locked = BaseImage(str(document["image"]), dict(document["digests"]))
        invalid = [digest for digest in locked.digests.values() if not _DIGEST.fullmatch(digest)]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} cannot be read ({error!r}): {_LOCK_HINT}.") from error
    if invalid or not locked.digests or not set(locked.digests) <= set(PLATFORMS.values()):
        raise SettingsError(
            f"{path} does not hold a SHA-256 digest for each of {list(PLATFORMS.values())}: {_LOCK_HINT}."
        )
    return locked


def write_lock(image: str, path: Path = LOCK) -> BaseImage:
    """Ask the registry for the digest of each platform and write the lock file.

    Raises
    ------
    RegistryError
        If the registry does not answer, or lacks one of the platforms; the file stays as it was.
    """
    digests = platform_digests(image)
    missing = sorted(set(PLATFORMS.values()) - digests.keys())
    if missing:
        raise RegistryError(f"{image} has no image for {', '.join(missing)}.")
    if not all(_DIGEST.fullmatch(digest) for digest in digests.values()):
        raise RegistryError(f"{image} is listed with digests other than SHA-256.")
    chosen = {platform: digests[platform] for platform in PLATFORMS.values()}
    today = dt.datetime.now(dt.UTC).date().isoformat()
    document = {"image": image, "digests": chosen, "locked": today}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return BaseImage(image, chosen)


def default_image(dockerfile: Path = DOCKERFILE) -> str:
    """Return the Dockerfile's default base image."""
    match = _BASE.search(dockerfile.read_text(encoding="utf-8"))
    if match is None:
        raise SettingsError(f"{dockerfile} has no ARG BASE=IMAGE.")
    return match[1]


def _repository(image: str) -> str:
    """Return the name without its tag; a registry's port is not a tag."""
    head, separator, name = image.rpartition("/")
    return f"{head}{separator}{name.partition(':')[0]}"


def main() -> int:
    """Write the lock file; return 1 with a sentence if the registry does not return the digests."""
    try:
        locked = write_lock(default_image())
    except RegistryError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{LOCK.relative_to(PROJECT_ROOT)}: {locked.image}")
    for platform, digest in locked.digests.items():
        print(f"  {platform}  {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
