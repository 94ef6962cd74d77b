"""`python -m tools.doctor`: the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError

from infra.paths import PROJECT_ROOT
from infra.settings import Settings, SettingsError, load_settings
from infra.settings.delivery import delivered_images
from tools.delivery.errors import DeliveryError
from tools.delivery.stack import lookup_session
from tools.doctor.account import DEFAULT_QUALIFIER
from tools.doctor.aws import Aws, explain
from tools.doctor.checks import CHECKS, CheckContext, examine
from tools.doctor.findings import Finding, Level, allowing, error
from tools.region import configured_region

MARKS = {Level.ok: "✓", Level.warning: "!", Level.error: "✗"}

app = typer.Typer(add_completion=False)


def _check_name(value: str) -> str:
    if value not in CHECKS:
        raise typer.BadParameter(f"{value!r} is not a check. Checks: {', '.join(CHECKS)}.")
    return value


@app.command(
    help="""Check what a deployment needs, without changing anything; exit 1 if it would fail or no one gets alarms.

Examples:

    python -m tools.doctor --env prod

    python -m tools.doctor --env prod --json

    python -m tools.doctor --env prod --allow alarms
"""
)
def main(
    env: Annotated[str, typer.Option(help="Environment of cdk.json.")] = "dev",
    settings: Annotated[str | None, typer.Option(help="JSON merge patch over it, as -c settings=... takes it.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(parser=_check_name, metavar="CHECK", help="Report its errors as warnings; may be repeated."),
    ] = None,
    digest: Annotated[str | None, typer.Option(help="Image of a delivery, as -c digest=... takes it.")] = None,
    authorizer_digest: Annotated[str | None, typer.Option(help="Image of the JWT authorizer of a delivery.")] = None,
    lookup: Annotated[bool, typer.Option(help="Read the account by the CDK's lookup role.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of text.")] = False,
) -> None:
    """Print the findings."""
    try:
        findings = _findings(env, settings, os.environ, images=(digest, authorizer_digest), lookup=lookup)
    except Exception as failure:  # noqa: BLE001 - the entry point: a broken check is a finding, never a traceback
        findings = [
            error("environment", f"The check itself failed ({type(failure).__name__}: {failure}).", "Report this.")
        ]
    findings = allowing(findings, allow or ())
    typer.echo(_as_json(env, findings) if as_json else _as_text(env, findings))
    if any(finding.level is Level.error for finding in findings):
        raise typer.Exit(1)


def _findings(
    env: str, patch: str | None, variables: Mapping[str, str], *, images: tuple[str | None, str | None], lookup: bool
) -> list[Finding]:
    context: Mapping[str, Any] = json.loads((PROJECT_ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    try:
        delivered = delivered_images(context, env, images[0], images[1]) if images[0] else None
        settings = load_settings(context, env, patch, images=delivered)
    except SettingsError as failure:
        return [
            error("environment", line, "Correct cdk.json; infra/settings/ lists the keys.")
            for line in str(failure).splitlines()
        ]
    try:
        qualifier = str(context.get("@aws-cdk/core:bootstrapQualifier", DEFAULT_QUALIFIER))
        aws = _aws(settings, qualifier if lookup else None)
    except BotoCoreError as failure:
        return [explain(failure, "sts", "get_caller_identity").finding("account")]
    except DeliveryError as failure:
        return [error("account", str(failure), "The role is one of `cdk bootstrap`; the credentials must trust it.")]
    return examine(settings, CheckContext(aws, program=variables.get("CDK_DOCKER", "docker"), qualifier=qualifier))


def _aws(settings: Settings, lookup_qualifier: str | None) -> Aws | None:
    region = settings.region or configured_region()
    if region is None:
        return None
    session = boto3.Session() if lookup_qualifier is None else lookup_session(settings, lookup_qualifier)
    return Aws(session, region)


def _as_json(env: str, findings: Sequence[Finding]) -> str:
    counts = {level.value: sum(finding.level is level for finding in findings) for level in Level}
    return json.dumps({"environment": env, "counts": counts, "findings": [asdict(item) for item in findings]}, indent=2)


def _as_text(env: str, findings: Sequence[Finding]) -> str:
    width = max(len(finding.check) for finding in findings)
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{MARKS[finding.level]} {finding.check:<{width}}  {finding.summary}")
        if finding.action:
            lines.append(f"  {'':<{width}}  -> {finding.action}")
    errors = sum(finding.level is Level.error for finding in findings)
    lines.append("")
    lines.append(
        f"{env} is not ready to be deployed: {errors} error{'s' if errors > 1 else ''}."
        if errors
        else f"{env} can be deployed."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    app(prog_name="python -m tools.doctor")
