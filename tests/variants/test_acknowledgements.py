"""cdk-nag finds just what the components acknowledge: no acknowledgement is there for nothing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from infra import app as environment_app
from infra import delivery_app
from infra.components import acknowledge
from tests.infra.delivery import delivered_context
from tests.infra.synthesis import context
from tests.infra.variants import SETTINGS


@pytest.fixture
def acknowledged(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Rules and construct paths that the components acknowledge, in place of the acknowledgements."""
    recorded: set[tuple[str, str]] = set()

    def record(resource: Any, rule: str, reason: str) -> None:
        assert len(reason) > 40
        recorded.add((rule, resource.node.path))

    monkeypatch.setattr(acknowledge, "_attach", record)
    return recorded


def findings(app: cdk.App, folder: Path) -> set[tuple[str, str]]:
    """Rule and construct path of each finding in an app, which writes to a folder."""
    with contextlib.suppress(RuntimeError):
        app.synth()
    report = next(folder.glob("*validation-report*.json"), None)
    if report is None:
        return set()
    return {
        (violation["ruleName"], construct["constructPath"])
        for plugin in json.loads(report.read_text())["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }


def findings_of_prod(name: str, folder: Path) -> set[tuple[str, str]]:
    values = {**context(), "env": "prod", "settings": json.dumps(SETTINGS[name])}
    app = cdk.App(context=values, outdir=str(folder), analytics_reporting=False)
    environment_app.build(app)
    return findings(app, folder)


def findings_of_delivery(folder: Path) -> set[tuple[str, str]]:
    app = cdk.App(context=delivered_context(), outdir=str(folder), analytics_reporting=False)
    delivery_app.build(app)
    return findings(app, folder)


def test_acknowledged_findings_are_not_reported(tmp_path: Path) -> None:
    assert findings_of_prod("prod", tmp_path / "prod") == set()
    assert findings_of_delivery(tmp_path / "delivery") == set()


@pytest.mark.parametrize(
    "name", ["prod", "iam", "cognito", "jwt", "public", "two clients", "experiment", "shadow test"]
)
def test_findings_in_prod_equal_the_acknowledged_ones(
    name: str, acknowledged: set[tuple[str, str]], tmp_path: Path
) -> None:
    assert findings_of_prod(name, tmp_path) == acknowledged != set()


def test_findings_in_the_delivery_equal_the_acknowledged_ones(
    acknowledged: set[tuple[str, str]], tmp_path: Path
) -> None:
    assert findings_of_delivery(tmp_path) == acknowledged != set()
