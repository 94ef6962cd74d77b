"""What the image adds to the AWS base: the Dockerfile's own dependency step beside the peer's ``pip install``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.subjects import ROOT
from benchmarks.timing import Found, Row, Section

TARGET = 0.75
# The course's Dockerfile: ``pip install onnxruntime pillow numpy``, here of the versions that we use.
PEER_PACKAGES = ("onnxruntime", "pillow", "numpy")


@dataclass(frozen=True)
class Content:
    """Folders that hold what each image adds beside its handler and model."""

    ours: Path
    peer: Path


def install(folder: Path) -> Content:
    """Install both afresh, unless this was done from the same Dockerfile and requirements."""
    content = Content(folder / "content-ours", folder / "content-peer")
    dockerfile, requirements = ROOT / "function" / "Dockerfile", ROOT / "function" / "requirements.txt"
    prune = ROOT / "function" / "prune.py"
    made_from = dockerfile.read_text() + requirements.read_text() + prune.read_text()
    stamp = folder / "content.stamp"
    if stamp.is_file() and stamp.read_text() == made_from:
        return content
    for target in (content.ours, content.peer):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
    step = (
        dependency_step(dockerfile.read_text())
        .replace("/build/requirements.txt", str(requirements))
        .replace("/build/prune.py", str(prune))
    )
    _run(["sh", "-ec", step], content.ours)
    pins = dict(re.findall(r"^([a-z]+)==([^\s;\\]+)", requirements.read_text(), re.MULTILINE))
    packages = [f"{name}=={pins[name]}" for name in PEER_PACKAGES]
    _run(["python", "-m", "pip", "install", "--no-cache-dir", "--target", ".", *packages], content.peer)
    stamp.write_text(made_from)
    return content


def dependency_step(dockerfile: str) -> str:
    """Return the shell command with which the stage ``dependencies`` installs them."""
    stage = dockerfile.partition(" AS dependencies")[2].partition("\nFROM ")[0]
    command = re.search(r"^RUN (.+?[^\\])$", stage, re.MULTILINE | re.DOTALL)
    if command is None:
        raise ValueError("function/Dockerfile has no RUN in its stage 'dependencies'.")
    return command.group(1).replace("\\\n", " ")


def run(folder: Path) -> Found:
    """Compare the bytes of both."""
    content = install(folder)
    ours, peer = (sum(sizes(each).values()) for each in (content.ours, content.peer))
    found = sizes(content.ours)
    largest = sorted(found.items(), key=lambda each: -each[1])
    lines = ["| MB | package |", "|---|---|", *(f"| {size / 1e6:.1f} | {name} |" for name, size in largest[:10])]
    row = Row(
        "Image content added to the AWS base",
        "dependencies against the peer's `pip install onnxruntime pillow numpy`",
        ours / peer,
        TARGET,
        "most",
        f"{ours / 1e6:.0f} MB / {peer / 1e6:.0f} MB",
    )
    return Found([row], [Section("What the image's dependencies weigh", lines)])


def sizes(folder: Path) -> dict[str, int]:
    """Bytes by top-level folder or file."""
    found = {}
    for entry in folder.iterdir():
        files = [entry] if entry.is_file() else [path for path in entry.rglob("*") if path.is_file()]
        found[entry.name] = sum(path.stat().st_size for path in files)
    return found


def _run(command: list[str], folder: Path) -> None:
    # ``python`` is this interpreter: another version's wheels would be others.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    variables = {**os.environ, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} ended with {done.returncode}: {done.stderr[-500:]}")
