"""Working folders of the fuzz targets, in `.local/fuzz`: libFuzzer ends the process, so nothing could remove them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def empty_folder(name: str) -> Path:
    """An empty folder; that of the last run under this name is removed, so that runs stay reproducible."""
    folder = ROOT / ".local" / "fuzz" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def seed_folder(name: str, seeds: Iterable[bytes]) -> Path:
    """A folder with one file per seed."""
    folder = empty_folder(f"seeds-{name}")
    for number, seed in enumerate(seeds):
        (folder / str(number)).write_bytes(seed)
    return folder
