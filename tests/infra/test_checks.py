"""Snapshots, and how wrong settings end a synth."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.infra.synthesis import ROOT, Synthesized

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


def test_snapshot(synthesized: Synthesized, snapshot: SnapshotAssertion) -> None:
    masked = _HASHED_NAME.sub(r"\1<hash>", _HASH.sub("<asset>", json.dumps(synthesized.template)))
    snapshot(name=synthesized.name, extension_class=JSONSnapshotExtension).assert_match(json.loads(masked))
