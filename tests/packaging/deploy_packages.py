"""A guard for child processes in which only the packages of requirements/deploy.txt can be imported."""

from __future__ import annotations

import json
import re
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Loaded as sitecustomize: an import of anything else fails as if it were not installed.
_GUARD = """
import importlib.abc, sys

class _NotInstalled(importlib.abc.MetaPathFinder):
    blocked = frozenset({blocked})

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.blocked:
            raise ModuleNotFoundError(f"No module named {{name!r}}: it is not in requirements/deploy.txt", name=name)

sys.meta_path.insert(0, _NotInstalled())
"""


def blocked_modules() -> list[str]:
    """Top-level modules of the installed packages that the deploy group does not have."""
    lock = (ROOT / "requirements" / "deploy.txt").read_text(encoding="utf-8")
    allowed = {_normal(name) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)} | {"pip", "loupe"}
    return sorted(
        module
        for module, distributions in packages_distributions().items()
        if not any(_normal(name) in allowed for name in distributions)
    )


def import_guard() -> str:
    """Source of the guard."""
    return _GUARD.format(blocked=json.dumps(blocked_modules()))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
