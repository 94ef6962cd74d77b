"""Where the project's files are: in the repository, or in an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# The repository's root. In a wheel it has no meaning: only programs of the repository use it.
PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent
_PACKAGED = Path(__file__).resolve().parent / "_package"
# What the constructs read: package data of the wheel, which a checkout has at its root (pyproject.toml, force-include).
SHIPPED: Final = _PACKAGED if _PACKAGED.is_dir() else PROJECT_ROOT
