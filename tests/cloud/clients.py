"""Environments of the clients under ``tests/clients``, apart from the project's own: their pins disagree with it.

They are made under ``.local/clients`` when a test first needs them, from lock files, and again when a lock changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SOURCES = PROJECT / "tests" / "clients"
ENVIRONMENTS = PROJECT / ".local" / "clients"
BIN = Path(sys.executable).parent
NODE = BIN / "node"
SECONDS = 300


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; fail with its output if it fails."""
    variables = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


def python() -> Path:
    """Return the interpreter of an environment with the Python generator and mypy."""
    lock, folder = SOURCES / "requirements.txt", ENVIRONMENTS / "python"
    if _is_stale(folder, lock):
        shutil.rmtree(folder, ignore_errors=True)
        _install("uv", "venv", "-q", folder, "--python", sys.executable)
        interpreter = folder / "bin" / "python"
        _install("uv", "pip", "install", "-q", "--python", interpreter, "--require-hashes", "-r", lock)
        _stamp(folder, lock)
    return folder / "bin" / "python"


def node() -> Path:
    """Return a folder with the npm packages and the programs of ``tests/clients``."""
    lock, folder = SOURCES / "package-lock.json", ENVIRONMENTS / "node"
    if _is_stale(folder, lock):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(SOURCES / name, folder / name)
        _install("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", cwd=folder)
        _stamp(folder, lock)
    for path in [*SOURCES.glob("*.mjs"), *SOURCES.glob("*.ts"), SOURCES / "tsconfig.json"]:
        shutil.copyfile(path, folder / path.name)
    return folder


def _install(name: str, *arguments: str | Path, cwd: Path | None = None) -> None:
    try:
        run(BIN / name, *arguments, cwd=cwd)
    except AssertionError as error:
        if any(word in str(error).lower() for word in ("network", "dns error", "enotfound", "econnrefused", "connect")):
            pytest.skip("the package registries cannot be reached for tests/clients")
        raise


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _is_stale(folder: Path, lock: Path) -> bool:
    stamp = folder / ".lock"
    return not stamp.is_file() or stamp.read_text("utf-8") != _digest(lock)


def _stamp(folder: Path, lock: Path) -> None:
    (folder / ".lock").write_text(_digest(lock), "utf-8")
