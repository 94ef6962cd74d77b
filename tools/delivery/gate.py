"""The gate before a build: served models equal their cards, and none is worse than the delivered one."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infra.paths import PROJECT_ROOT
from tools.delivery.errors import DeliveryError

# What decides the prediction. Other parts of a card are text.
_DECISIVE = ("files", "graph", "input", "output")
_SUFFIX = "-delivered"
# Arguments of modelkit -> exit code; its output goes to the terminal.
Runner = Callable[[Sequence[str]], int]


def modelkit(arguments: Sequence[str]) -> int:
    """Run ``python -m modelkit`` and return its exit code."""
    return subprocess.run([sys.executable, "-m", "modelkit", *arguments], cwd=PROJECT_ROOT, check=False).returncode


def gate(
    names: Sequence[str],
    base: str | None,
    report: Callable[[str], None],
    *,
    images: str | None = None,
    project: Path = PROJECT_ROOT,
    run: Runner = modelkit,
) -> None:
    """Verify every model and compare a changed one with what was delivered last.

    A model of the same version is another encoding of the same weights and must agree with them, image by image; one
    of another version was trained anew and must be as accurate (``modelkit gate --successor``), without ``images`` on
    the golden images of the delivered one.

    Parameters
    ----------
    base
        Commit that was delivered last. None: nothing was, and models are verified only.
    images
        Folder of labelled images (``DIR/<label>/``) to compare on; by default the card's golden images.

    Raises
    ------
    DeliveryError
        If a model fails; modelkit has printed why.
    """
    for name in names:
        if run(["verify", name]) != 0:
            raise DeliveryError(f"models/{name} does not do what its card states: nothing is built.")
    if not base:
        report("no earlier delivery is named: models are verified, and not compared")
        return
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            models = Path(folder)
            delivered = _extract(project, base, name, models)
            if delivered is None:
                report(f"{name}: not in the delivered commit {base[:12]}, so there is nothing to compare it with")
                continue
            current = json.loads((project / "models" / name / "card.json").read_bytes())
            if all(current.get(key) == delivered.get(key) for key in _DECISIVE):
                report(f"{name}: the same as in the delivered commit {base[:12]}")
                continue
            shutil.copytree(project / "models" / name, models / name)
            arguments = ["gate", name, "--against", f"{name}{_SUFFIX}", "--models-dir", str(models)]
            labelled = images
            if current["version"] != delivered["version"]:
                arguments.append("--successor")
                labelled = images or str(_label(models / f"{name}{_SUFFIX}", delivered, Path(folder) / "labelled"))
            if labelled:
                arguments += ["--images", labelled]
            if run(arguments) != 0:
                raise DeliveryError(f"models/{name} is not as good as the delivered one: nothing is built.")


def _extract(project: Path, base: str, name: str, models: Path) -> dict[str, Any] | None:
    """Write a model of a commit to ``models/<name>-delivered``; return its card, or None without such a model."""
    _git(
        project,
        "cat-file",
        "-e",
        f"{base}^{{commit}}",
        unknown=f"The commit {base!r} is not in this clone: name one with BASE=, or run git fetch --unshallow.",
    )
    listed = _git(project, "ls-tree", "--name-only", base, f"models/{name}/card.json")
    if not listed.strip():
        return None
    archive = _git(project, "archive", "--format=tar", base, f"models/{name}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar, tempfile.TemporaryDirectory() as folder:
        tar.extractall(folder, filter="data")
        target = models / f"{name}{_SUFFIX}"
        shutil.copytree(Path(folder) / "models" / name, target)
    card: dict[str, Any] = json.loads((target / "card.json").read_bytes())
    renamed = json.dumps({**card, "name": f"{name}{_SUFFIX}"}, indent=2, ensure_ascii=False)
    (target / "card.json").write_text(renamed, encoding="utf-8")
    return card


def _label(model: Path, card: dict[str, Any], folder: Path) -> Path:
    """Copy a model's golden images to ``<folder>/<label>/``, where modelkit reads labels."""
    for number, case in enumerate(card.get("golden", ())):
        target = folder / case["label"] / f"{number}-{Path(case['image']).name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model / case["image"], target)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _git(project: Path, *arguments: str, unknown: str = "") -> bytes:
    done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip()
        raise DeliveryError(unknown or f"git {arguments[0]} failed: {reason}")
    return done.stdout
