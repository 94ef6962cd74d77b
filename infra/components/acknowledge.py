"""cdk-nag findings that were looked at: one resource at a time, each with a reason. A test holds that each is used."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct

_PACK = "AwsSolutions::"


def acknowledge(resource: IConstruct, rule: str, reason: str) -> None:
    """Acknowledge one rule of the AwsSolutions pack (``AwsSolutions-APIG2``) for one resource."""
    cdk.Validations.of(resource).acknowledge(cdk.Acknowledgment(id=_PACK + rule, reason=reason))
