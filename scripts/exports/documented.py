"""The code blocks of docs/export.md, so that what is run is what is documented."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def block(section: str, number: int = 0) -> str:
    """Return one indented block of the section whose heading begins with ``section``."""
    sections = re.split(r"(?m)^## ", PAGE.read_text(encoding="utf-8"))
    text = next(part for part in sections if part.startswith(section))
    blocks = re.findall(r"(?m)(?:^    .*\n(?:\n(?=    ))?)+", text)
    return textwrap.dedent(blocks[number])


def run_block(
    section: str, names: dict[str, Any], number: int = 0, replace: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Execute a Python block with ``names`` as its variables, in the current folder.

    ``replace`` holds what a reader would write instead: the name of a model, a size.
    """
    exec(compile(written(section, number, replace), f"{PAGE.name}, {section}", "exec"), names)


def run_command(section: str, number: int = 0, replace: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run a block of one shell command, of the programs beside this Python, in the current folder."""
    arguments = shlex.split(written(section, number, replace), comments=True)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(arguments, check=True, env=environment)


def written(section: str, number: int, replace: Mapping[str, str]) -> str:
    """Return a block with texts of it replaced; every one has to be there."""
    text = block(section, number)
    for old, new in replace.items():
        if old not in text:
            raise ValueError(f"{PAGE.name}, {section}: {old!r} is not in block {number}")
        text = text.replace(old, new)
    return text
