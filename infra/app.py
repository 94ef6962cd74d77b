"""The CDK app: settings -> stacks. ``cdk synth -c env=prod`` runs it; it calls no AWS service."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from infra.paths import PROJECT_ROOT
from infra.settings import Settings, SettingsError, load_settings
from infra.settings.protection import RulePack
from infra.stacks.inference import InferenceStack

RULE_PACKS: Mapping[RulePack, Callable[[cdk.App], cdk.IPolicyValidationPlugin]] = {
    "AwsSolutions": AwsSolutionsChecks,
    "NIST.800.53.R5": NIST80053R5Checks,
}


def build(app: cdk.App) -> Settings:
    """Add the stacks of the chosen environment to the app."""
    context = {"environments": app.node.try_get_context("environments")}
    name = app.node.try_get_context("env") or "dev"
    patch, copy = app.node.try_get_context("settings"), app.node.try_get_context("name")
    settings = load_settings(context, name, patch, environment=copy)
    InferenceStack(
        app,
        f"Loupe-{settings.environment}",
        settings=settings,
        model=PROJECT_ROOT / "models" / settings.model.name,
        env=cdk.Environment(account=settings.account, region=settings.region),
        termination_protection=settings.protection.termination_protection,
        # An emulator that enforces IAM has no bootstrap roles.
        synthesizer=cdk.CliCredentialsStackSynthesizer() if settings.local else None,
    )
    for key, value in {"Project": "loupe", "Environment": settings.environment, **settings.tags}.items():
        cdk.Tags.of(app).add(key, value)
    cdk.Validations.of(app).add_plugins(*(RULE_PACKS[name](app) for name in settings.protection.rule_packs))
    return settings


def main() -> int:
    """Synthesize; return 1 with a sentence for each invalid setting."""
    app = cdk.App()
    try:
        build(app)
    except SettingsError as error:
        print(f"\nThe settings cannot be deployed:\n{error}", file=sys.stderr)
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
