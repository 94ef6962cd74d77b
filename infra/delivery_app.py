"""The CDK app of the delivery: ``make delivery-synth``. Deployed by an administrator, once for each account.

A separate app, because the role that deploys an environment's stack can change everything in it.
"""

from __future__ import annotations

import sys

import aws_cdk as cdk

from infra.app import RULE_PACKS
from infra.settings import SettingsError
from infra.settings.delivery import Delivery, load_delivery
from infra.stacks.delivery import DeliveryStack

STACK = "LoupeDelivery"


def build(app: cdk.App) -> Delivery:
    """Add a stack for each account of the delivery: ``LoupeDelivery`` for the registry's, others with their number."""
    delivery = load_delivery({key: app.node.try_get_context(key) for key in ("environments", "delivery")})
    region = delivery.settings.registry.region
    for account, environments in delivery.accounts.items():
        stack = DeliveryStack(
            app,
            STACK if account == delivery.settings.registry.account else f"{STACK}-{account}",
            delivery=delivery,
            account=account,
            environments=environments,
            qualifier=app.node.try_get_context("@aws-cdk/core:bootstrapQualifier") or "hnb659fds",
            env=cdk.Environment(account=account, region=region),
            termination_protection=True,
            # The administrator's own credentials: the bootstrap roles have the boundary that this stack creates.
            synthesizer=cdk.CliCredentialsStackSynthesizer(),
        )
        tags = {} if not environments else environments[-1].tags
        for key, value in {"Project": "loupe", **tags}.items():
            cdk.Tags.of(stack).add(key, value)
    cdk.Validations.of(app).add_plugins(*(pack(app) for pack in RULE_PACKS.values()))
    return delivery


def main() -> int:
    """Synthesize; return 1 with a sentence for each invalid setting."""
    app = cdk.App()
    try:
        build(app)
    except SettingsError as error:
        print(f"\nThe delivery cannot be set up:\n{error}", file=sys.stderr)
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
