"""The acceptance suite on the local cloud, as `make acceptance ENV=local` runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from localcloud.errors import CloudError
from localcloud.state import runtime_emulator
from tools.acceptance.__main__ import app

if TYPE_CHECKING:
    from pathlib import Path

SKIPPED = {
    "cost cap",
    "doctor",
    "firewall on",
    "smoke test behind the firewall",
    "firewall off",
    "smoke test without the firewall",
}


def test_a_deployment_is_accepted_and_skipped_steps_are_listed(tmp_path: Path) -> None:
    try:
        runtime_emulator()
    except CloudError as error:
        pytest.skip(str(error))
    transcript = tmp_path / "acceptance.md"
    result = CliRunner().invoke(app, ["--env", "local", "--output", str(transcript)])
    assert result.exit_code == 0, result.output
    rows = [line.split(" | ") for line in transcript.read_text().splitlines() if line.startswith("| ")][1:]
    statuses = {row[0].removeprefix("| "): row[1] for row in rows}
    assert {step for step, status in statuses.items() if status == "skipped"} == SKIPPED
    assert {statuses[step] for step in statuses.keys() - SKIPPED} == {"passed"}
    assert {"bulk job", "alarm reaches a queue", "a removed client is rejected", "destroy", "sweep"} < statuses.keys()
