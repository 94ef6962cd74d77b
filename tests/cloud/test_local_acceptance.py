"""The acceptance suite on the local cloud, as `make acceptance ENV=local ACCEPTANCE=--quick` runs it.

The steps that deploy again are left to `make acceptance ENV=local`. Other modules test the same changes: test_redeploy,
test_auth_modes, test_releases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from localcloud.errors import CloudError
from localcloud.state import runtime_emulator
from tools.acceptance.__main__ import app
from tools.acceptance.steps import QUICK

if TYPE_CHECKING:
    from pathlib import Path

NEVER_LOCAL = {
    "cost cap",
    "doctor",
    "firewall on",
    "smoke test behind the firewall",
    "firewall off",
    "smoke test without the firewall",
}


@pytest.mark.usefixtures("app_of_cdk_json")
def test_a_deployment_is_accepted_and_skipped_steps_are_listed(tmp_path: Path) -> None:
    try:
        runtime_emulator()
    except CloudError as error:
        pytest.skip(str(error))
    transcript = tmp_path / "acceptance.md"
    result = CliRunner().invoke(app, ["--env", "local", "--quick", "--output", str(transcript)])
    assert result.exit_code == 0, result.output
    rows = [line.split(" | ") for line in transcript.read_text().splitlines() if line.startswith("| ")][1:]
    statuses = {row[0].removeprefix("| "): row[1] for row in rows}
    passed = {step for step, status in statuses.items() if status == "passed"}
    assert passed == {"deploy", "smoke test", "bulk job", "alarm reaches a queue", "destroy", "sweep"}
    assert {statuses[step] for step in statuses.keys() - passed} == {"skipped"}
    left_out = {row[0].removeprefix("| ") for row in rows if QUICK in row[-1]}
    assert left_out == statuses.keys() - passed - NEVER_LOCAL
