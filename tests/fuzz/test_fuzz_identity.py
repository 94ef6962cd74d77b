"""The fuzz targets, bounded: some thousand executions of each in `make test`; longer runs by hand or on a schedule."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).parent / "fuzz_identity.py"
RUNS = 5000


@pytest.mark.parametrize("name", ["jwt", "jwks", "cards"])
def test_a_bounded_run_has_no_findings(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this platform")
    command = [sys.executable, str(TARGET), name, f"-runs={RUNS}", "-max_len=2048", f"-artifact_prefix={tmp_path}/"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {RUNS} runs" in done.stderr
