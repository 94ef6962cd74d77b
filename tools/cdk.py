"""The pinned CDK command line, run with the virtual environment's Node and a log of its output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).resolve().parents[1]
CDK = PROJECT / "node_modules" / ".bin" / "cdk"
_LOG_LINES = 30


def run(arguments: Sequence[str], log: Path) -> subprocess.CompletedProcess[str]:
    """Run ``cdk`` with the credentials of this environment; its output is returned and appended to ``log``."""
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    if (programs / "node").exists():
        environment["JSII_NODE"] = str(programs / "node")
    process = subprocess.run(
        [str(CDK), *arguments, "--no-notices"],
        cwd=PROJECT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ cdk {arguments[0]}\n{process.stdout}\n")
    return process


def failure(process: subprocess.CompletedProcess[str], log: Path) -> str:
    """Return a sentence for a process that failed, with the end of its output."""
    return f"cdk {process.args[1]} failed ({log} has it all):\n{tail(process.stdout)}"


def tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_LOG_LINES:])
