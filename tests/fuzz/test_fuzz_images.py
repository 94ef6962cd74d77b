"""Each fuzz target, for some executions; tests/README.md has the longer runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="atheris is there on Linux on x86-64 only")

FOLDER = Path(__file__).parent
TARGETS = re.findall(r'^    "(image-\w+)":', (FOLDER / "image_targets.py").read_text("utf-8"), re.MULTILINE)


def run(target: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / "fuzz_images.py"), target, *options],
        capture_output=True,
        text=True,
        errors="replace",
    )


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_finds_nothing(target: str) -> None:
    # A program begins with the peak memory of the one that started it: the fuzzer's own limit would count pytest's.
    done = run(target, "-runs=1500", "-seed=1", "-rss_limit_mb=6144")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 1500 runs" in done.stderr


def test_every_format_has_a_target() -> None:
    from loupe.formats import FORMATS

    assert {f"image-{name}" for name in FORMATS} <= set(TARGETS)
