"""Acknowledged cdk-nag findings: one rule of one resource, with the reason. A test fails on unused ones."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Acknowledge one rule (``AwsSolutions-APIG2``, ``NIST.800.53.R5-LambdaDLQ``) for a construct's own resource."""
    _attach(construct.node.default_child or construct, rule, reason)


def _attach(resource: IConstruct, rule: str, reason: str) -> None:
    pack = rule.partition("-")[0]
    cdk.Validations.of(resource).acknowledge(cdk.Acknowledgment(id=f"{pack}::{rule}", reason=reason))
