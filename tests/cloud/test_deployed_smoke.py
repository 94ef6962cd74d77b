"""The smoke test against the deployed stack, as its users run it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deployment import ORIGIN, Deployed
from typer.testing import CliRunner

from tools.smoke.__main__ import app

if TYPE_CHECKING:
    from pathlib import Path

RATE, BURST, REQUESTS = 20, 40, 90


def test_the_deployed_endpoint_passes(deployed: Deployed, tmp_path: Path) -> None:
    report = tmp_path / "smoke.json"
    arguments = ["--url", deployed.endpoint["url"], "--cors-origin", ORIGIN, "--json", str(report)]
    key = {"LOUPE_API_KEY": deployed.endpoint["api_key"]}
    with deployed.plan(rate_limit=RATE, burst_limit=BURST):
        result = CliRunner().invoke(app, [*arguments, "--throttle-requests", str(REQUESTS)], env=key)
    assert result.exit_code == 0, result.output
    document = json.loads(report.read_text())
    # Skipped: a second model, an experiment, and a job over a manifest.
    others = {check["name"]: check["status"] for check in document["checks"] if check["status"] != "passed"}
    names = ("other models", "experiment", "job", "jobs of other models")
    assert others == dict.fromkeys(names, "skipped")
    assert document["latency"]["function_p50_ms"] > 0
    assert deployed.endpoint["api_key"] not in result.output + report.read_text()


def test_a_wrong_key_fails_and_a_wrong_url_is_reported_clearly(deployed: Deployed) -> None:
    url = deployed.endpoint["url"]
    wrong_key = CliRunner().invoke(app, ["--url", url, "--key", "x" * 40])
    assert wrong_key.exit_code == 1
    assert "api_key_invalid" in wrong_key.output
    wrong_url = CliRunner().invoke(app, ["--url", f"{url}nothing", "--key", "x"])
    assert wrong_url.exit_code == 2
    assert "is this the URL of a Loupe endpoint?" in wrong_url.output
