"""The Dockerfile as text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from localcloud.state import PROJECT

FILES = ("function/Dockerfile", "tests/container/standin/Dockerfile")


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, *FILES], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
