"""Check a model at synth: its card, and the files that the card names."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from infra.paths import SHIPPED
from infra.settings import ArmSettings, ImageSettings, Settings, SettingsError

# Which of the card's files must be in the folder: all; those that are there, where a base image may hold the others; or
# none, where a pipeline pushed an image.
Files = Literal["all", "present", "none"]
# Peak with one model and the largest allowed image (docs/benchmarks.md, 'Memory'): 355 MiB.
RUNTIME_MIB = 360
# Of the bulk function in addition to its sessions: boto3 (33 MiB measured), tensors that wait for the model (64 MiB,
# `loupe.batch.TENSOR_BYTES`), and a batch's rows with the copy that is written (64 MiB, `loupe.bulk.classify`).
BULK_MIB = RUNTIME_MIB + 33 + 64 + 2 * 64
# Memory of a session in addition to its files (MiB), and the largest number of copies of these while it is created.
# Measured: 18 MiB for files of 0.7 MiB, 27 for 1.8, 163 for 77.
SESSION_MIB, SESSION_FACTOR = 24, 3.0
# Kinds of output that give an image several labels (card.schema.json).
_MULTILABEL = frozenset({"multilabel-logits", "multilabel-probabilities"})
# The largest image that an invocation carries: loupe.release.cases.MAX_IMAGE_BYTES; a test compares them.
MAX_GOLDEN_BYTES = 6 * 1024 * 1024 // 4 * 3 - 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# Keys of a card's input that say how pixels become the tensor; the others say which pixels.
_NUMERIC_KEYS = frozenset({"name", "layout", "dtype", "scale", "mean", "std", "flatten"})
# Standard library only (-S): the program needs nothing that is installed.
_CHECK = (sys.executable, "-S", "-m", "loupe.model_files")


def needed_files(image: ImageSettings) -> Files:
    """Return which of a model's files a synth needs for this image."""
    if image.source != "asset":
        return "none"
    return "all" if image.base is None else "present"


@dataclass(frozen=True)
class ModelCard:
    """The parts of a card that the infrastructure uses.

    Attributes
    ----------
    bytes
        Size of the model's files.
    multilabel
        Whether an image may have several labels.
    pixels
        What the card says of the pixels that the model takes, before they become numbers, as canonical JSON.
    pixel_bytes
        Size of these pixels.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    bytes: int = 0
    multilabel: bool = False
    pixels: str = ""
    pixel_bytes: int = 0


def read_card(
    models: Path, name: str, *, files: Files, function: Path = SHIPPED / "function", key: str = "model.name"
) -> ModelCard:
    """Check ``models/<name>``, and read its card.

    The check is the function's own, run as a program: `infra` imports nothing of `function/`.

    Parameters
    ----------
    function
        Source of the function, which holds the check.
    key
        Of the setting that names the model, for the message.

    Raises
    ------
    SettingsError
        If the model cannot be served.
    """
    path = models / name / "card.json"
    if not _NAME.fullmatch(name) or not path.is_file():
        available = ", ".join(sorted(path.parent.name for path in models.glob("*/card.json"))) or "none"
        raise SettingsError(f"{key}: there is no models/{name[:80]}/card.json. Models here: {available}.")
    folder = path.parent.resolve()
    files_now = ((str(file), file.lstat()) for file in folder.rglob("*"))
    state = tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in files_now))
    if reason := _fault(folder, files, function, state):
        raise SettingsError(f"models/{name}: {reason} python -m modelkit verify {name} says more.")
    card = json.loads(path.read_bytes())
    if card["name"] != name:
        raise SettingsError(f"models/{name}/card.json names the model {card['name']!r}, not {name!r}.")
    size = sum(file.get("bytes") or 0 for file in card["files"])
    spec, output = card["input"], card["output"]
    return ModelCard(
        name,
        card["version"],
        tuple(output["labels"]),
        size,
        multilabel=output["kind"] in _MULTILABEL,
        pixels=json.dumps({key: spec[key] for key in spec if key not in _NUMERIC_KEYS}, sort_keys=True),
        pixel_bytes=spec["width"] * spec["height"] * (1 if spec.get("color") == "L" else 3),
    )


@cache
def _fault(folder: Path, files: Files, function: Path, _state: tuple[tuple[str, int, int], ...]) -> str | None:
    """Return why the function would not serve a model, or None.

    Each endpoint of an app checks its models; ``_state`` (name, size and time of each file) makes a changed folder
    another one.
    """
    outcome = subprocess.run(
        [*_CHECK, "--files", files, str(folder)],
        cwd=function,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if outcome.returncode == 0:
        return None
    return outcome.stderr.strip() or f"the check ended with {outcome.returncode}."


def outputs_conflict(one: ModelCard, other: ModelCard) -> str | None:
    """Return how the labels of two models differ, so that their predictions cannot be compared, or None."""
    if differing := sorted(set(one.labels) ^ set(other.labels)):
        more = ", ..." if len(differing) > 5 else ""
        return f"{one.name} and {other.name} have different labels ({', '.join(differing[:5])}{more})"
    if one.multilabel != other.multilabel:
        single, several = (other, one) if one.multilabel else (one, other)
        return f"{several.name} gives an image several labels, and {single.name} gives it one"
    return None


def check_arms(cards: Mapping[str, ModelCard], arms: Sequence[ArmSettings]) -> None:
    """Check that the arms of an experiment answer with the same labels, in any order.

    Raises
    ------
    SettingsError
        If they do not: a caller's answers would change with its arm, and could not be compared.
    """
    first = cards[arms[0].model]
    for arm in arms[1:]:
        if sentence := outputs_conflict(first, cards[arm.model]):
            raise SettingsError(
                f"experiment.arms: in arms {arms[0].name} and {arm.name}, {sentence}. Clients could not use both "
                "answers."
            )


def check_golden(models: Path, names: Sequence[str]) -> None:
    """Check that the golden images are there and fit an invocation, which a release sends them by.

    Raises
    ------
    SettingsError
        For the first that the release would fail at.
    """
    for name in names:
        folder = models / name
        for case in json.loads((folder / "card.json").read_bytes()).get("golden", ()):
            path = folder / case["image"]
            if not path.is_file():
                raise SettingsError(
                    f"models/{name}: the golden image {case['image']} is missing, and release.hooks would stop every "
                    "release: put it back, or take the case out of the card."
                )
            if path.stat().st_size > MAX_GOLDEN_BYTES:
                raise SettingsError(
                    f"models/{name}: the golden image {case['image']} has {path.stat().st_size:,} bytes, and a release "
                    f"sends {MAX_GOLDEN_BYTES:,} at most (Lambda's payload of 6 MB in base64): use a smaller image."
                )


def session_mib(card: ModelCard) -> int:
    """Return about how much memory the session of a model takes at most, MiB."""
    return SESSION_MIB + math.ceil(SESSION_FACTOR * card.bytes / 2**20)


def check_memory(cards: Sequence[ModelCard], settings: Settings) -> None:
    """Check that several models fit into the memory of the function beside one request, and of the bulk function.

    Raises
    ------
    SettingsError
        If they do not, with the memory of each.
    """
    if len(cards) < 2:
        return
    sessions = sum(map(session_mib, cards))
    parts = ", ".join(f"{card.name} {session_mib(card)}" for card in cards)
    needed = RUNTIME_MIB + settings.cache.memory_mib + sessions
    if needed > settings.function.memory_mib:
        raise SettingsError(
            f"models need about {needed} MiB: {RUNTIME_MIB} for the runtime and a request, {parts}"
            f"{f', {settings.cache.memory_mib} for the cache' if settings.cache.memory_mib else ''}. "
            f"function.memory_mib is {settings.function.memory_mib}: raise it, or serve fewer models."
        )
    # An environment of the bulk function keeps the models of all jobs that it has had batches of.
    if settings.bulk.enabled and BULK_MIB + sessions > settings.bulk.memory_mib:
        raise SettingsError(
            f"models need about {BULK_MIB + sessions} MiB in the bulk function: {BULK_MIB} for the runtime and a "
            f"batch, {parts}. bulk.memory_mib is {settings.bulk.memory_mib}: raise it, or serve fewer models."
        )
