"""Settings of data protection: encryption key, retention, termination protection, tags, cdk-nag rule packs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from infra.settings.base import Section, text

RulePack = Literal["AwsSolutions", "NIST.800.53.R5"]
KEY_ARN = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+"


class ProtectionSettings(Section):
    """Off by default, for experiments that are deleted again; `prod` in cdk.json enables all of it."""

    # Logs, uploads and generated API keys are always encrypted: with AWS-owned keys ("aws"), with a key that the stack
    # creates and rotates ("customer"), or with the key of this ARN, whose policy you maintain (docs/security.md).
    kms_key: Annotated[str, text(rf"aws|customer|{KEY_ARN}", "'aws', 'customer' or the ARN of a KMS key")] = "aws"
    # Retain logs, uploads, keys and secrets when the stack is deleted or a resource is removed from it.
    keep_data: bool = False
    # Reject 'cdk destroy' until this is off again.
    termination_protection: bool = False
    # Name of the managed policy that limits every role of the stack: docs/delivery.md, 'Permissions boundary'.
    permissions_boundary: Annotated[str, text(r"[A-Za-z0-9_+=,.@-]{1,128}", "the name of a managed policy")] | None = (
        None
    )
    # Tags that every resource must have: synth rejects an environment without them.
    required_tags: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = ()
    # cdk-nag rule packs of the synth. Each finding is an error.
    rule_packs: Annotated[tuple[RulePack, ...], Field(min_length=1)] = ("AwsSolutions",)

    def conflict(
        self, region: str | None, tags: Mapping[str, str], reserved_concurrency: int | None, *, firewall: bool
    ) -> str | None:
        """Return how it conflicts with other sections of the environment, or None."""
        for key in self.required_tags:
            if not tags.get(key):
                return f"tags has no {key!r}, which protection.required_tags asks for"
        for key in tags:
            if key.lower().startswith("aws:"):
                return f"tags has {key!r}: names that begin with aws: are AWS's own; choose another"
        if self.kms_key.startswith("arn:"):
            home = self.kms_key.split(":")[3]
            if region not in (None, home):
                return f"protection.kms_key is a key of {home}, which nothing in {region} can use; name one of {region}"
        if "NIST.800.53.R5" in self.rule_packs:
            if self.kms_key == "aws":
                return (
                    "protection.rule_packs has NIST.800.53.R5, which asks for a KMS key of your own: "
                    "set protection.kms_key to 'customer' or an ARN"
                )
            if reserved_concurrency is None:
                return "protection.rule_packs has NIST.800.53.R5, which asks you to set function.reserved_concurrency"
            if not firewall:
                return "protection.rule_packs has NIST.800.53.R5, which asks you to set firewall.enabled"
        return None
