"""Add to the wheel what the constructs read and modelkit imports; an editable install finds it in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Path in the repository -> path in the wheel. `infra.paths.SHIPPED` is infra/_package.
PACKAGE_DATA = {
    ".dockerignore": "infra/_package/.dockerignore",
    "authorizer": "infra/_package/authorizer",
    "docs/openapi.json": "infra/_package/docs/openapi.json",
    "function": "infra/_package/function",
    "function/loupe": "loupe",
    "models/card.schema.json": "modelkit/_package/card.schema.json",
}


class PackageData(BuildHookInterface[Any]):
    """Includes the package data in standard wheels only: an editable install would get a copy that goes stale."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a standard build."""
        if version == "standard":
            root = Path(self.root)
            build_data["force_include"] |= {str(root / path): target for path, target in PACKAGE_DATA.items()}
