"""What holds for the policy statements of every template."""

from __future__ import annotations

from typing import Any

from tests.infra.synthesis import Synthesized
from tools.policies import permissions


def assert_no_unreasoned_wildcard(built: Synthesized) -> None:
    rows = permissions(built.template)
    assert len(rows) > 10
    assert [row for row in rows if row.reason is None] == []


def assert_every_statement_is_read(template: dict[str, Any]) -> None:
    """Check that statements of all resource types are read: an unknown type would pass unchecked."""

    def statements(value: Any) -> int:
        if isinstance(value, list):
            return sum(map(statements, value))
        if not isinstance(value, dict):
            return 0
        # (A firewall's rules have statements, too, but of no effect.)
        return ("Effect" in value) + sum(map(statements, value.values()))

    read = [
        row for row in permissions(template)
        if row.kind != "AWS::Lambda::Permission" and row.actions != "(managed policy)"
    ]  # fmt: skip
    assert len(read) == statements(template["Resources"]) > 5
