"""The cheap part of a model's check, at synth: its card and files, before anything is built or deployed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.settings import SettingsError


@dataclass(frozen=True)
class ModelCard:
    """What the infrastructure needs of a card."""

    name: str
    version: str
    labels: tuple[str, ...]


def read_card(models: Path, name: str, *, verify_files: bool) -> ModelCard:
    """Read ``models/<name>/card.json``; with ``verify_files`` also hold its files against their sizes and checksums.

    Raises
    ------
    SettingsError
        If the model could not be served as it lies there.
    """
    folder = models / name
    try:
        card: dict[str, Any] = json.loads((folder / "card.json").read_bytes())
        files, labels, version = card["files"], tuple(card["output"]["labels"]), card["version"]
    except FileNotFoundError:
        known = ", ".join(sorted(path.parent.name for path in models.glob("*/card.json"))) or "none"
        raise SettingsError(f"model.name: there is no models/{name}/card.json. Models here: {known}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"models/{name}/card.json cannot be read ({error}): python -m modelkit verify {name}"
        ) from None
    if card.get("name") != name:
        raise SettingsError(f"models/{name}/card.json names the model {card.get('name')!r}, not {name!r}.")
    if verify_files:
        for file in files:
            _verify(folder, name, file)
    return ModelCard(name, version, labels)


def _verify(folder: Path, name: str, file: dict[str, Any]) -> None:
    path = folder / file["path"]
    if not path.is_file():
        raise SettingsError(
            f"models/{name}/{file['path']} is missing. If the card names a URL: python -m modelkit fetch {name}"
        )
    if "bytes" in file and path.stat().st_size != file["bytes"]:
        raise SettingsError(
            f"models/{name}/{file['path']} has {path.stat().st_size} bytes; the card says {file['bytes']}."
        )
    if "sha256" in file:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != file["sha256"]:
            raise SettingsError(
                f"models/{name}/{file['path']} is not the file of the card: its SHA-256 differs. "
                f"python -m modelkit verify {name} says more."
            )
