"""The fuzz targets of requests, bounded: some thousand executions of each in `make test`; longer runs by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).parent / "fuzz_http.py"
RUNS = 3000


@pytest.mark.parametrize("name", ["json", "form", "body", "base64", "event", "url", "redaction"])
def test_a_bounded_run_has_no_findings(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this platform")
    command = [sys.executable, str(TARGET), name, f"-runs={RUNS}", "-max_len=1024", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {RUNS} runs" in done.stderr
