"""cdk-nag finds in a variant of prod just what the components acknowledge: no acknowledgement is there for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.components import acknowledge
from tests.infra.findings import findings
from tests.infra.variants import SETTINGS


@pytest.mark.parametrize("name", ["iam", "cognito", "jwt", "public", "two clients", "experiment", "shadow test"])
def test_findings_equal_the_acknowledged_ones(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    acknowledged = set()

    def record(resource: Any, rule: str, reason: str) -> None:
        assert len(reason) > 40
        acknowledged.add((rule, resource.node.path))

    monkeypatch.setattr(acknowledge, "_attach", record)
    assert findings(tmp_path, dict(SETTINGS[name])) == acknowledged
