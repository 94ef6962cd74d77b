"""A pinned environment is not synthesized: the app ends with a sentence, as `cdk deploy` shows it."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
import pytest

from infra.app import main
from infra.pins import Pin, write_pin
from tests.infra.synthesis import ROOT, context


def synth(environment: str, folder: Path) -> int:
    """Run the app with the pins in a folder, and return its exit code."""
    values = {**context(), "env": environment, "pins": str(folder / "pins")}
    return main(cdk.App(context=values, outdir=str(folder / "out"), analytics_reporting=False))


def test_synth_rejects_the_pinned_environment_and_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pin(Pin("dev", "7", "8", "2026-11-26T02:00:00Z", "labels are swapped"), tmp_path / "pins")
    assert synth("dev", tmp_path) == 1
    assert not (tmp_path / "out" / "Loupe-dev.template.json").exists()
    assert (
        "environments.dev is pinned to version 7 (in place of 8) since 2026-11-26T02:00:00Z: labels are swapped. "
        "A deployment would move the alias on. Correct the cause in the repository, lift the pin with "
        "`make rollback ENV=dev LIFT=1`, and deploy."
    ) in capsys.readouterr().err
    assert synth("local", tmp_path) == 0
    assert (tmp_path / "out" / "Loupe-local.template.json").exists()


def test_synth_rejects_a_damaged_pin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins" / "dev.json").write_text("{")
    assert synth("dev", tmp_path) == 1
    assert "dev.json cannot be read" in capsys.readouterr().err


def test_no_environment_of_the_repository_is_pinned_by_mistake() -> None:
    """A pin of a rollback that is over would stop the next release."""
    names = {path.stem for path in (ROOT / "pins").glob("*.json")}
    assert names <= set(context()["environments"])
