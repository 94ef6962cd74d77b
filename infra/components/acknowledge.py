"""cdk-nag findings that were looked at: one resource at a time, each with a reason. A test holds that each is used."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct

_PACK = "AwsSolutions::"


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Acknowledge one rule of the AwsSolutions pack (``AwsSolutions-APIG2``) for a construct's own resource."""
    cdk.Validations.of(construct.node.default_child or construct).acknowledge(
        cdk.Acknowledgment(id=_PACK + rule, reason=reason)
    )
