"""modelkit's commands as the tests call them, and data that is not in the repository: `../shared/data`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from modelkit.cli import app

PROJECT = Path(__file__).parents[2]
SHARED = PROJECT.parent / "shared" / "data"


def shared(part: str) -> Path:
    path = SHARED / part
    if not path.exists():
        pytest.skip(f"../shared/data/{part} is not on this machine")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
