"""Statements of roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import aws_iam as iam


def grant(
    role: iam.IRole, actions: Sequence[str], *resources: str, conditions: Mapping[str, Any] | None = None
) -> None:
    """Allow a role actions on resources, under conditions."""
    role.add_to_principal_policy(
        iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)
    )
