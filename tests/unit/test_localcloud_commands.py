"""Error messages of failed programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from localcloud.commands import Command
from localcloud.errors import CloudError

EXITED = ".venv/bin/python -m infra.app: Subprocess exited with error 1"


@pytest.mark.parametrize(
    ("printed", "cause"),
    [
        (f"\nlocal is pinned to version 1.\nLift the pin.\n\n{EXITED}\n",
         "local is pinned to version 1. Lift the pin."),
        (f"\nThe settings cannot be deployed:\nrelease.percent: 0\napi.stage: x\n{EXITED}\n",
         "release.percent: 0 api.stage: x"),
        (f"Traceback (most recent call last):\n  File x\nRuntimeError: bug\n{EXITED}\n", "RuntimeError: bug"),
        ("Deploying\n| CREATE_FAILED | Bucket: taken\nError: it failed\n", "| CREATE_FAILED | Bucket: taken"),
        ("first\nlast\n", "last"),
        ("", "No stack."),
    ],
    ids=["pin", "settings", "crash of the app", "CloudFormation", "another program", "nothing"],
)  # fmt: skip
def test_the_cause_of_a_failure_is_in_the_message(printed: str, cause: str, tmp_path: Path) -> None:
    program = f"import sys; sys.stdout.write({printed!r}); sys.exit(1)"
    command = Command([sys.executable, "-c", program], {}, tmp_path, tmp_path / "log", "No stack.")
    with pytest.raises(CloudError) as failure:
        command.wait()
    assert str(failure.value).startswith("No stack.")
    assert cause in str(failure.value)
