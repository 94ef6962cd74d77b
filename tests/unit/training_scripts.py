"""The training scripts of the hair-type models as modules: they are not a package and share names with test modules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[2] / "models" / "hair-type"


@contextmanager
def importable() -> Iterator[None]:
    """Put the scripts first on the path; modules of the same names are back afterwards."""
    names = [path.stem for path in FOLDER.glob("*.py")]
    hidden = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(FOLDER))
    try:
        yield
    finally:
        sys.path.remove(str(FOLDER))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def script(name: str) -> ModuleType:
    """Return a script that needs no torch."""
    return importlib.import_module(name)
