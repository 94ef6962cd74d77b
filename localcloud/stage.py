"""A container image as a folder: the files that its Dockerfile copies to LAMBDA_TASK_ROOT, without an engine."""

from __future__ import annotations

import compileall
import hashlib
import json
import re
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcloud.errors import CloudError
from localcloud.state import PROJECT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

TAG_LENGTH = 16
_CMD = re.compile(r"^CMD\s+(\[.*\])\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """A staged image: ``folder`` is its LAMBDA_TASK_ROOT, ``tag`` the digest of its content."""

    tag: str
    folder: Path
    command: str


def stage(project: Path, models: Iterable[str], images: Path) -> Image:
    """Copy the function and the chosen models into a folder named by their digest, unless it exists.

    Raises
    ------
    CloudError
        If a model, one of its files or the Dockerfile's command is missing.
    """
    command = _command(project / "function" / "Dockerfile")
    files = dict(_function_files(project / "function"))
    for name in models:
        files.update(_model_files(project / "models" / name, name))
    return _staged(command, files, images)


def stage_authorizer(project: Path, images: Path) -> Image:
    """The same for the image of the JWT authorizer.

    Raises
    ------
    CloudError
        If its Dockerfile's command is missing.
    """
    folder = project / "authorizer"
    files = {path.name: path for path in (*folder.glob("*.py"), *folder.glob("*.json"))}
    return _staged(_command(folder / "Dockerfile"), files, images)


def _staged(command: str, files: Mapping[str, Path], images: Path) -> Image:
    digest = hashlib.sha256(command.encode())
    for target, source in sorted(files.items()):
        digest.update(f"\0{target}\0{source.stat().st_size}\0".encode())
        digest.update(source.read_bytes())
    tag = digest.hexdigest()[:TAG_LENGTH]
    folder = images / tag
    if not folder.is_dir():
        partial = images / f"{tag}.{uuid.uuid4().hex}"
        for target, source in files.items():
            (partial / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partial / target)
        compileall.compile_dir(partial, quiet=1)
        _metadata(images, tag).write_text(json.dumps({"command": command}) + "\n", encoding="utf-8")
        partial.rename(folder)
    return Image(tag, folder, command)


def staged_image(images: Path, tag: str) -> Image:
    """The staged image that a function's ImageUri names.

    Raises
    ------
    CloudError
        If no such image was staged.
    """
    folder = images / tag
    if not folder.is_dir():
        raise CloudError(f"No image with the tag {tag!r} is in {images}: `make up` stages and deploys the present one.")
    command: str = json.loads(_metadata(images, tag).read_text(encoding="utf-8"))["command"]
    return Image(tag, folder, command)


def remove_others(images: Path, tags: Collection[str]) -> None:
    """Remove all other staged images, once no deployed function refers to them."""
    for path in images.iterdir():
        if path.name.partition(".")[0] not in tags:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _metadata(images: Path, tag: str) -> Path:
    return images / f"{tag}.json"


def _command(dockerfile: Path) -> str:
    try:
        commands = _CMD.findall(dockerfile.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CloudError(f"{dockerfile} is missing.") from error
    if not commands:
        raise CloudError(f'{dockerfile} has no CMD ["module.function"].')
    (command,) = json.loads(commands[-1])
    return str(command)


def _function_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.glob("*.py")):
        # What builds the image, the image does not have.
        if path.name != "prune.py":
            yield path.name, path
    for path in sorted((folder / "loupe").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path


def _model_files(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    """The card and the files that it names, golden images included; documents stay out of the container image."""
    card = folder / "card.json"
    if not card.is_file():
        raise CloudError(f"There is no model {name!r}: {card} is missing.")
    # The check that the Dockerfile runs, here as there by the function's own program.
    check = subprocess.run(
        [sys.executable, "-S", "-m", "loupe.model_files", str(folder.resolve())],
        cwd=PROJECT / "function", capture_output=True, encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if check.returncode != 0:
        raise CloudError(f"The model {name!r} cannot be deployed: {check.stderr.strip()}")
    yield f"models/{name}/card.json", card
    content = json.loads(card.read_bytes())
    paths = [entry["path"] for entry in content["files"]]
    # As COPY does: what is not there is not copied, and the release's checks say so.
    paths += [case["image"] for case in content.get("golden", ()) if (folder / case["image"]).is_file()]
    for path in paths:
        yield f"models/{name}/{path}", folder / path
