"""Acknowledged cdk-nag findings: one rule of one resource, with the reason. A test fails on unused ones."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Acknowledge one rule (``AwsSolutions-APIG2``, ``NIST.800.53.R5-LambdaDLQ``) for a construct's own resource."""
    _attach(construct.node.default_child or construct, rule, reason)


def acknowledge_inline(policy: IConstruct) -> None:
    """Acknowledge that a role's policy is inline."""
    acknowledge(
        policy,
        "NIST.800.53.R5-IAMNoInlinePolicy",
        "The policy is this role's alone, names its own resources, and goes with it; nobody else could use it.",
    )


def _attach(resource: IConstruct, rule: str, reason: str) -> None:
    pack = rule.partition("-")[0]
    cdk.Validations.of(resource).acknowledge(cdk.Acknowledgment(id=f"{pack}::{rule}", reason=reason))
