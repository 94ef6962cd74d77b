"""Values for later steps and jobs of a workflow: lines of the file that GitHub names in ``GITHUB_OUTPUT``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

# A value with a line break could set other outputs of the step.
_VALUE = re.compile(r"[A-Za-z0-9:._/@-]*", re.ASCII)


def publish(values: Mapping[str, str]) -> None:
    """Print the values; in a workflow also append them to the step's outputs.

    Raises
    ------
    ValueError
        For a value with characters beyond those of digests, commits and names.
    """
    for name, value in values.items():
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{name} has the value {value!r}, which is not one word.")
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    print(lines, end="")
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(lines)
