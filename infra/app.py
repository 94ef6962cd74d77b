"""The CDK app: settings -> stacks. ``cdk synth -c env=prod`` runs it; it calls no AWS service."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from infra.paths import PROJECT_ROOT
from infra.pins import FOLDER, PinError, read_pin
from infra.settings import Settings, SettingsError, load_settings
from infra.settings.delivery import delivered_images
from infra.settings.protection import RulePack
from infra.stacks.inference import InferenceStack

RULE_PACKS: Mapping[RulePack, Callable[[cdk.App], cdk.IPolicyValidationPlugin]] = {
    "AwsSolutions": AwsSolutionsChecks,
    "NIST.800.53.R5": NIST80053R5Checks,
}

# Outputs of a delivered stack, by the key of the context that they repeat.
DELIVERED: Mapping[str, tuple[str, str]] = {
    "digest": ("DeliveredDigest", "Image of the function"),
    "authorizer-digest": ("DeliveredAuthorizerDigest", "Image of the JWT authorizer"),
    "commit": ("DeliveredCommit", "Commit that the images and this template were made from"),
}


def build(app: cdk.App) -> Settings:
    """Add the stack of the chosen environment to the app, and the rule packs that check it."""
    settings = add_stack(app)
    cdk.Validations.of(app).add_plugins(*(RULE_PACKS[name](app) for name in settings.protection.rule_packs))
    return settings


def add_stack(app: cdk.App) -> Settings:
    """Add the stack of the chosen environment to the app, without the rule packs."""
    context = {key: app.node.try_get_context(key) for key in ("environments", "delivery")}
    name = app.node.try_get_context("env") or "dev"
    patch, copy = app.node.try_get_context("settings"), app.node.try_get_context("name")
    settings = load_settings(context, name, patch, environment=copy, images=_images(app, context, name))
    boundary = settings.protection.permissions_boundary
    stack = InferenceStack(
        app,
        f"Loupe-{settings.environment}",
        settings=settings,
        model=PROJECT_ROOT / "models" / settings.model.name,
        env=cdk.Environment(account=settings.account, region=settings.region),
        termination_protection=settings.protection.termination_protection,
        permissions_boundary=None if boundary is None else cdk.PermissionsBoundary.from_name(boundary),
        # An emulator that enforces IAM has no bootstrap roles.
        synthesizer=cdk.CliCredentialsStackSynthesizer() if settings.local else None,
    )
    _add_delivered(app, stack)
    for key, value in {"Project": "loupe", "Environment": settings.environment, **settings.tags}.items():
        cdk.Tags.of(app).add(key, value)
    return settings


def _images(app: cdk.App, context: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings patch for the images of ``-c digest=...``; empty without it."""
    digest = app.node.try_get_context("digest")
    if not digest:
        return {}
    return delivered_images(context, name, digest, app.node.try_get_context("authorizer-digest"))


def _add_delivered(app: cdk.App, stack: cdk.Stack) -> None:
    """Add what `python -m tools.delivery deployed` reads: the images and the commit of a delivery."""
    for key, (name, description) in DELIVERED.items():
        if value := app.node.try_get_context(key):
            cdk.CfnOutput(stack, name, value=value, description=description)


def main(app: cdk.App | None = None) -> int:
    """Synthesize; return 1 with a sentence for each invalid setting, or for an environment that is pinned.

    Parameters
    ----------
    app
        By default, one with the context and the output folder that the CDK CLI gives in environment variables.
    """
    app = app or cdk.App()
    try:
        settings = build(app)
        pin = read_pin(settings.environment, Path(app.node.try_get_context("pins") or FOLDER))
    except (SettingsError, PinError) as error:
        print(f"\nThe settings cannot be deployed:\n{error}", file=sys.stderr)
        return 1
    if pin is not None:
        print(f"\n{pin.rejection()}", file=sys.stderr)
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
