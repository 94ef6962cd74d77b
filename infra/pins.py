"""Pins: environments that were rolled back by hand and that no deployment may change before the pin is lifted.

``make rollback`` moves an alias outside CloudFormation and writes ``pins/<environment>.json``. Without the file the
next deployment would release the rolled-back version again.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.paths import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "pins"
_MAX_REASON = 500


class PinError(ValueError):
    """A pin that cannot be read. The message names the file and what is wrong."""


@dataclass(frozen=True)
class Pin:
    """One environment at one version.

    Attributes
    ----------
    version
        Number of the function's version that the alias was moved to.
    replaced
        The version that it served before.
    since
        Time of ISO 8601, in UTC.
    reason
        Reason that the operator gave for the rollback.
    """

    environment: str
    version: str
    replaced: str
    since: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    def sentence(self) -> str:
        """Return what is pinned, since when and why."""
        return f"pinned to version {self.version} (in place of {self.replaced}) since {self.since}: {self.reason}"

    def rejection(self) -> str:
        """Return why synth stops, and what to do."""
        return (
            f"environments.{self.environment} is {self.sentence().rstrip('.')}. A deployment would move the alias on. "
            f"Correct the cause in the repository, lift the pin with `make rollback ENV={self.environment} LIFT=1`, "
            "and deploy."
        )


def pin_file(environment: str, folder: Path = FOLDER) -> Path:
    return folder / f"{environment}.json"


def read_pin(environment: str, folder: Path = FOLDER) -> Pin | None:
    """Return the pin of an environment, or None.

    Raises
    ------
    PinError
        If its file is damaged: a deployment must not take that for no pin.
    """
    path = pin_file(environment, folder)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PinError(f"{path} cannot be read ({error}): correct it, or delete it to lift the pin.") from None
    names = ("version", "replaced", "since", "reason")
    texts = [values.get(name) for name in names] if isinstance(values, dict) else []
    if not all(isinstance(text, str) and text for text in texts) or not texts or not str(texts[0]).isdecimal():
        raise PinError(f"{path} must have the texts {', '.join(names)}: correct it, or delete it to lift the pin.")
    return Pin(environment, *map(str, texts))


def write_pin(pin: Pin, folder: Path = FOLDER) -> Path:
    """Write a pin's file, whole or not at all, and return its path."""
    path = pin_file(pin.environment, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {name: value for name, value in pin.to_dict().items() if name != "environment"}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def remove_pin(environment: str, folder: Path = FOLDER) -> None:
    pin_file(environment, folder).unlink(missing_ok=True)


def reason_of(text: str | None) -> str:
    """Return a reason as a pin keeps it: one line of printable text, shortened."""
    words = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text or "")).strip()
    return words[:_MAX_REASON] or "no reason was given"
