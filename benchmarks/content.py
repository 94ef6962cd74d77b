"""Size that the image adds to the AWS base: the Dockerfile's dependency step against the peer's ``pip install``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.subjects import ROOT
from benchmarks.timing import PartResult, Row, Section

TARGET = 0.75
# The course's Dockerfile: ``pip install onnxruntime pillow numpy``, here with the versions of this project.
PEER_PACKAGES = ("onnxruntime", "pillow", "numpy")


@dataclass(frozen=True)
class Content:
    """Folders with the dependencies of each image, without handler and model."""

    ours: Path
    peer: Path


def install(folder: Path) -> Content:
    """Install both, unless they were installed from the same Dockerfile and requirements."""
    content = Content(folder / "content-ours", folder / "content-peer")
    dockerfile, requirements = ROOT / "function" / "Dockerfile", ROOT / "function" / "requirements.txt"
    prune = ROOT / "function" / "prune.py"
    inputs = dockerfile.read_text() + requirements.read_text() + prune.read_text()
    stamp = folder / "content.stamp"
    if stamp.is_file() and stamp.read_text() == inputs:
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
    stamp.write_text(inputs)
    return content


def dependency_step(dockerfile: str) -> str:
    """Return the shell command of the Dockerfile's stage ``dependencies``."""
    stage = dockerfile.partition(" AS dependencies")[2].partition("\nFROM ")[0]
    command = re.search(r"^RUN (.+?[^\\])$", stage, re.MULTILINE | re.DOTALL)
    if command is None:
        raise ValueError("function/Dockerfile has no RUN in its stage 'dependencies'.")
    return command.group(1).replace("\\\n", " ")


def run(folder: Path) -> PartResult:
    """Compare the sizes of both."""
    content = install(folder)
    ours, peer = (sum(sizes(target).values()) for target in (content.ours, content.peer))
    largest = sorted(sizes(content.ours).items(), key=lambda item: -item[1])
    lines = ["| MB | package |", "|---|---|", *(f"| {size / 1e6:.1f} | {name} |" for name, size in largest[:10])]
    row = Row(
        "Image content added to the AWS base",
        "dependencies against the peer's `pip install onnxruntime pillow numpy`",
        ours / peer,
        TARGET,
        "most",
        f"{ours / 1e6:.0f} MB / {peer / 1e6:.0f} MB",
    )
    return PartResult([row], [Section("Size of the image's dependencies", lines)])


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each top-level folder or file."""
    result = {}
    for entry in folder.iterdir():
        files = [entry] if entry.is_file() else [path for path in entry.rglob("*") if path.is_file()]
        result[entry.name] = sum(path.stat().st_size for path in files)
    return result


def _run(command: list[str], folder: Path) -> None:
    # ``python`` is this interpreter: another version would install other wheels.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    variables = {**os.environ, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} ended with {process.returncode}: {process.stderr[-500:]}")
