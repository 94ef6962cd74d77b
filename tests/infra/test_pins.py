"""A pinned environment is not synthesized: the app ends with a sentence, as `cdk deploy` shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from synthesis import ROOT, context

from infra.pins import Pin, write_pin


def _synth(tmp_path: Path, environment: str) -> subprocess.CompletedProcess[str]:
    values = {**context(), "env": environment, "pins": str(tmp_path / "pins")}
    return subprocess.run(
        [sys.executable, "-m", "infra.app"],
        cwd=ROOT,
        env={**os.environ, "CDK_CONTEXT_JSON": json.dumps(values), "CDK_OUTDIR": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_synth_rejects_the_pinned_environment_and_no_other(tmp_path: Path) -> None:
    write_pin(Pin("dev", "7", "8", "2026-11-26T02:00:00Z", "labels are swapped"), tmp_path / "pins")
    rejected = _synth(tmp_path, "dev")
    assert rejected.returncode == 1
    assert not (tmp_path / "out" / "Loupe-dev.template.json").exists()
    assert (
        "environments.dev is pinned to version 7 (in place of 8) since 2026-11-26T02:00:00Z: labels are swapped. "
        "A deployment would move the alias on. Correct the cause in the repository, lift the pin with "
        "`make rollback ENV=dev LIFT=1`, and deploy."
    ) in rejected.stderr
    other = _synth(tmp_path, "local")
    assert (other.returncode, (tmp_path / "out" / "Loupe-local.template.json").exists()) == (0, True), other.stderr


def test_synth_rejects_a_damaged_pin(tmp_path: Path) -> None:
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins" / "dev.json").write_text("{")
    rejected = _synth(tmp_path, "dev")
    assert (rejected.returncode, "dev.json cannot be read" in rejected.stderr) == (1, True)


def test_no_environment_of_the_repository_is_pinned_by_mistake() -> None:
    """A pin of a rollback that is over would stop the next release."""
    names = {path.stem for path in (ROOT / "pins").glob("*.json")}
    assert names <= set(context()["environments"])
