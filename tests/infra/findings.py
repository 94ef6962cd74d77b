"""What cdk-nag finds in prod."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from infra.app import build
from tests.infra.synthesis import context


def findings(folder: Path, patch: dict[str, Any] | None = None) -> set[tuple[str, str]]:
    """Rule and construct path of each finding of the nag in prod."""
    values = {**context(), "env": "prod", **({"settings": json.dumps(patch)} if patch else {})}
    app = cdk.App(context=values, outdir=str(folder), analytics_reporting=False)
    build(app)
    with contextlib.suppress(RuntimeError):
        app.synth()
    report = next(folder.glob("*validation-report*.json"), None)
    if report is None:
        return set()
    return _violations(json.loads(report.read_text()))


def _violations(report: Any) -> set[tuple[str, str]]:
    return {
        (violation["ruleName"], construct["constructPath"])
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }
