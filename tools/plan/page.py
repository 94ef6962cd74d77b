"""Plans in documentation pages, regenerated between markers that hold the options of the command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

_BLOCK = re.compile(
    r"(<!-- python -m tools\.plan (?P<options>[^>]*?) -->\n)(?P<body>.*?)(<!-- end of the plan -->)", re.DOTALL
)


def rewrite(page: str) -> str:
    """Return the page with the current output of each plan on it."""

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}{_run(shlex.split(match['options']))}{match[4]}"

    return _BLOCK.sub(block, page)


def _run(options: list[str]) -> str:
    # By the command line, as on the page, so that page and command cannot differ.
    run = subprocess.run(
        [sys.executable, "-m", "tools.plan", *options], capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout
