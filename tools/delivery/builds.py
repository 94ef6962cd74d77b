"""Which images a delivery consists of: the function's and, where an environment needs it, the JWT authorizer's."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import base_image
from infra.cards import needed_files, read_card
from infra.components.classifier_function import classifier_image
from infra.components.container_image import BuiltImage
from infra.components.jwt_authorizer import authorizer_image
from infra.paths import PROJECT_ROOT
from infra.settings import Settings, load_settings
from infra.settings.delivery import load_delivery
from infra.sources import Sources
from tools.delivery.errors import DeliveryError

FUNCTION, AUTHORIZER = "function", "authorizer"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Build:
    """One image of a commit.

    Attributes
    ----------
    name
        ``function`` or ``authorizer``.
    """

    name: str
    commit: str
    image: BuiltImage

    @property
    def local_tag(self) -> str:
        """Name in the engine's own storage."""
        return f"localhost/loupe-{self.name}:{self.commit}"

    @property
    def remote_tag(self) -> str:
        """Tag in ECR: one for each commit, which never moves."""
        return self.commit if self.name == FUNCTION else f"{self.name}-{self.commit}"


def read_context(project: Path = PROJECT_ROOT) -> dict[str, Any]:
    """Return the context of ``cdk.json``."""
    context: dict[str, Any] = json.loads((project / "cdk.json").read_text(encoding="utf-8"))["context"]
    return context


def builds(context: Mapping[str, Any], environment: str, commit: str) -> list[Build]:
    """Return the images to build.

    Parameters
    ----------
    environment
        Whose models and architecture the images have, where ``cdk.json`` has no delivery.

    Raises
    ------
    SettingsError
        If the settings cannot be delivered, or a model could not be served.
    """
    delivery = load_delivery(context) if "delivery" in context else None
    settings = delivery.any_environment if delivery else load_settings(context, environment)
    sources = Sources()
    base_image.require(settings, sources.base_lock)
    models = delivery.models if delivery else settings.packaged
    images = [Build(FUNCTION, commit, _function_image(settings, models, sources))]
    if delivery.builds_authorizer if delivery else settings.auth.mode == "jwt":
        authorizer = authorizer_image(None, settings.function.architecture, sources)
        images.append(Build(AUTHORIZER, commit, _built(authorizer)))
    return images


def current_commit(project: Path = PROJECT_ROOT) -> str:
    """Return the commit of a clean working tree: an image's tag names the commit that it was built from.

    Raises
    ------
    DeliveryError
        If the tree has changes, or there is no commit.
    """
    commit = _git(project, "rev-parse", "HEAD").strip()
    if not _COMMIT.fullmatch(commit):
        raise DeliveryError(f"git names the commit {commit!r}, which is not a SHA-1.")
    changes = _git(project, "status", "--porcelain").splitlines()
    if changes:
        raise DeliveryError(f"{len(changes)} files differ from the commit ({changes[0].strip()}): commit them first.")
    return commit


def _function_image(settings: Settings, models: Sequence[str], sources: Sources) -> BuiltImage:
    folders = [sources.root / "models" / name for name in models]
    for folder in folders:
        read_card(folder.parent, folder.name, files=needed_files(settings.image), function=sources.function)
    return _built(
        classifier_image(settings.image, folders, settings.function.architecture, sources, PROJECT_ROOT / ".local")
    )


def _built(image: object) -> BuiltImage:
    if not isinstance(image, BuiltImage):
        raise DeliveryError("image.source is 'ecr': that image is built already.")
    return image


def _git(project: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DeliveryError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
