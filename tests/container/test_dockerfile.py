"""The Dockerfile: as text, and built."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from localcloud.state import PROJECT
from tests.container.base import Base
from tests.container.engine import Engine

FILES = ("function/Dockerfile", "authorizer/Dockerfile", "tests/container/standin/Dockerfile")


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, *FILES], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_builds_unmodified(
    container_engine: Engine, base_image: Base, image: str, record_property: Callable[[str, object], None]
) -> None:
    record_property(
        "note", f"container: built by {container_engine.tool} {container_engine.version} on {base_image.words}"
    )
    assert container_engine.has(image)
