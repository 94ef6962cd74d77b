"""cdk-nag, cfn-lint, snapshots, and how wrong settings end a synth."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from infra.components import acknowledge
from tests.infra.findings import findings
from tests.infra.synthesis import ROOT, Synthesized, synthesize
from tests.infra.variants import ENVIRONMENTS

_HASH = re.compile(r"[0-9a-f]{64}")
# The function's version is named after a hash of its code; the deployment after one of the API.
_HASHED_NAME = re.compile(r"(CurrentVersion[0-9A-F]{8}|Deployment[0-9A-F]{8})[0-9a-f]{32}")


def test_invalid_settings_end_the_synth_with_a_message_and_no_traceback() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "infra.app"], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "CDK_CONTEXT_JSON": json.dumps({"env": "x", "environments": {"x": {"fun": 1}}})},
    )  # fmt: skip
    assert run.returncode == 1
    assert "environments.x.fun: there is no such key" in run.stderr
    assert "Traceback" not in run.stderr


def test_every_acknowledgement_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the acknowledgements the nag finds just what they name: none stands there for nothing."""
    assert findings(tmp_path / "with") == set()
    acknowledged = set()

    def record(resource: Any, rule: str, reason: str) -> None:
        assert len(reason) > 40
        acknowledged.add((rule, resource.node.path))

    monkeypatch.setattr(acknowledge, "_attach", record)
    assert findings(tmp_path / "without") == acknowledged


def test_cfn_lint_reports_nothing(tmp_path: Path) -> None:
    paths = [tmp_path / f"{environment}.json" for environment in ENVIRONMENTS]
    for path in paths:
        path.write_text(json.dumps(synthesize(path.stem).template))
    run = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), "--regions", "eu-central-1", "--", *map(str, paths)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout


def test_snapshot(synthesized: Synthesized, snapshot: SnapshotAssertion) -> None:
    masked = _HASHED_NAME.sub(r"\1<hash>", _HASH.sub("<asset>", json.dumps(synthesized.template)))
    snapshot(name=synthesized.name, extension_class=JSONSnapshotExtension).assert_match(json.loads(masked))
