"""The comment that says what a pull request would change."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tools import diff_comment


@pytest.fixture
def cdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "cdk"
    monkeypatch.setattr(diff_comment, "CDK", program)
    return program


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_security_changes_come_first_and_account_numbers_are_shortened(cdk: Path, tmp_path: Path) -> None:
    write(cdk, 'case "$*" in *security-only*) echo "IAM Statement Changes 123456789012";; *) echo "all of $*";; esac')
    result = CliRunner().invoke(diff_comment.app, ["--env", "prod", "--output", str(tmp_path / "comment.md")])
    assert result.exit_code == 0, result.output
    comment = (tmp_path / "comment.md").read_text()
    assert comment.index("IAM Statement Changes ...9012") < comment.index("<details>") < comment.index("all of")
    assert "-c env=prod" in comment
    assert "123456789012" not in comment


def test_a_failed_diff_writes_no_comment(cdk: Path, tmp_path: Path) -> None:
    write(cdk, "echo no credentials; exit 1")
    result = CliRunner().invoke(diff_comment.app, ["--env", "prod", "--output", str(tmp_path / "comment.md")])
    assert result.exit_code == 1
    assert "no credentials" in result.output
    assert not (tmp_path / "comment.md").exists()


def test_a_comment_fits_and_its_fences_cannot_be_closed_from_inside() -> None:
    comment = diff_comment.markdown("dev", "", "````\n</details> " + "x" * 200_000)
    assert len(comment) < 65_536
    assert "characters more" in comment
    assert comment.count("`````") == 2
    assert "```\nnone\n```" in comment
