"""Model folders: lookup, atomic creation, and readable cards."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loupe.card import NAME_PATTERN
from loupe.model_files import sha256_of

from modelkit.errors import ModelkitError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parent.parent
# Package data of the wheel (hatch_build.py); a checkout has none.
PACKAGED = Path(__file__).resolve().parent / "_package"
MODELS_DIR = Path("models") if PACKAGED.is_dir() else PROJECT / "models"
_KEY_ORDER = (
    "$schema", "name", "version", "variant", "description", "graph", "files", "input", "output", "golden", "evaluation",
    "release", "quantization", "training", "provenance", "license",
)  # fmt: skip
_LINE = 110


def model_folder(models_dir: Path, name: str) -> Path:
    """Return the folder of an existing model.

    Raises
    ------
    ModelkitError
        With the names that are there.
    """
    folder = models_dir / name
    if not NAME_PATTERN.fullmatch(name) or not (folder / "card.json").is_file():
        names = ", ".join(path.parent.name for path in sorted(models_dir.glob("*/card.json"))) or "none"
        raise ModelkitError(f"There is no model {name!r} in {models_dir} (there: {names}).")
    return folder


@contextmanager
def staged_folder(target: Path, *, replace: bool) -> Iterator[Path]:
    """Give a temporary folder beside ``target`` that replaces it when the block succeeds, and is removed otherwise.

    Raises
    ------
    ModelkitError
        If the name cannot be a model's, or ``target`` exists and may not be replaced.
    """
    if not NAME_PATTERN.fullmatch(target.name):
        raise ModelkitError(
            f"{target.name!r} cannot be a model's name: lower-case letters, digits, '.', '_' and '-', at most 63."
        )
    if target.exists() and not replace:
        raise ModelkitError(f"{target} is there already. Choose another name, or give --replace.")
    if target.exists() and not (target / "card.json").is_file():
        raise ModelkitError(f"{target} is not a model (it has no card.json), so it is not replaced. Use another name.")
    if target.parent.exists() and not target.parent.is_dir():
        raise ModelkitError(f"{target.parent} is a file; --models-dir takes the folder of the models.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ModelkitError(f"No folder can be created in {target.parent}: {error.strerror}.") from None
    try:
        staging.chmod(0o755)
        yield staging
        old = None
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)) / "old"
            target.rename(old)
        staging.rename(target)
        if old is not None:
            shutil.rmtree(old.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def describe_file(folder: Path, name: str) -> dict[str, Any]:
    """Return a file's entry for the card."""
    path = folder / name
    return {"path": name, "sha256": sha256_of(path), "bytes": path.stat().st_size}


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write ``card.json``: keys in reading order, short lists and objects on one line."""
    ordered = {key: card[key] for key in _KEY_ORDER if key in card}
    ordered |= {key: value for key, value in card.items() if key not in ordered}
    (folder / "card.json").write_text(_render(ordered, "") + "\n", encoding="utf-8")


def _render(value: Any, indent: str) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    nested = isinstance(value, (dict, list)) and value
    top = not indent and isinstance(value, dict)
    holds_objects = isinstance(value, list) and any(isinstance(item, dict) for item in value)
    if not nested or (not top and not holds_objects and len(indent) + len(flat) <= _LINE and flat.count("{") <= 1):
        return flat
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {_render(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _render(item, inner) for item in value) + f"\n{indent}]"
