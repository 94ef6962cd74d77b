"""The files that a synth reads: the function's and the authorizer's source, the contract, the base image's lock."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.paths import SHIPPED


@dataclass(frozen=True)
class Sources:
    """A folder that is laid out like the repository.

    Attributes
    ----------
    root
        Contains ``function/``, ``authorizer/``, ``docs/openapi.json`` and ``.dockerignore``. By default the package
        data of the wheel or, in a checkout, the repository.
    """

    root: Path = SHIPPED

    @property
    def function(self) -> Path:
        """Dockerfile and source of the function."""
        return self.root / "function"

    @property
    def authorizer(self) -> Path:
        """Build context of the JWT authorizer."""
        return self.root / "authorizer"

    @property
    def contract(self) -> Path:
        """OpenAPI document, with what the gateway needs (``x-loupe-gateway``)."""
        return self.root / "docs" / "openapi.json"

    @property
    def base_lock(self) -> Path:
        """Digests of the base image, if they are locked."""
        return self.function / "base-image.lock"

    def build_context(self, chosen: Sequence[Path], assembly: Path) -> tuple[Path, tuple[str, ...]]:
        """Return the function's build context, and what to exclude from it.

        Models of ``<root>/models`` are already in the context. Other folders are copied into a new context with the
        function's source.

        Parameters
        ----------
        chosen
            Folders of the models, all in one folder.
        assembly
            Folder of the cloud assembly (``cdk.out``), which takes the new context.
        """
        models = self.root / "models"
        names = [model.name for model in chosen]
        if all(model.resolve().parent == models.resolve() for model in chosen):
            # .dockerignore lets in only function/ and models/; of the models, only the chosen ones count for the hash.
            others = (path.name for path in models.iterdir() if path.name not in names)
            return self.root, tuple(sorted(f"models/{name}" for name in others))
        context = assembly / f"loupe-context.{names[0]}"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir(parents=True)
        shutil.copy(self.root / ".dockerignore", context / ".dockerignore")
        shutil.copytree(self.function, context / "function", ignore=shutil.ignore_patterns("__pycache__"))
        for model in chosen:
            shutil.copytree(model, context / "models" / model.name)
        return context, ("**/__pycache__",)
