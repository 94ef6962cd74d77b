"""`python -m tools.versions`: the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import boto3
import typer

from infra.paths import PROJECT_ROOT
from infra.pins import PinError
from infra.settings import Settings, SettingsError, load_settings
from tools.doctor.aws import Aws, CallError
from tools.region import configured_region
from tools.versions.listing import BusyError, Function, functions

app = typer.Typer(add_completion=False)


@app.command(
    help="""List the published versions of an environment's functions; with --apply delete those that nothing uses.

Examples:

    python -m tools.versions --env prod

    python -m tools.versions --env prod --apply
"""
)
def main(
    env: Annotated[str, typer.Option(help="Environment of cdk.json.")] = "dev",
    apply: Annotated[bool, typer.Option("--apply", help="Delete; without it nothing changes.")] = False,
) -> None:
    """Print each version with the reason that it is kept, and delete the others if that was asked for."""
    try:
        settings = _settings(env)
        region = settings.region or configured_region()
        if region is None:
            raise BusyError(f"Set region in environments.{env} of cdk.json, or AWS_REGION.")
        aws = Aws(boto3.Session(), region)
        candidates = functions(settings, aws, datetime.now(UTC))
        for line in lines(candidates, applied=apply):
            typer.echo(line)
        if apply:
            delete(candidates, aws)
    except (BusyError, PinError, SettingsError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except CallError as failure:
        typer.echo(f"error: {failure.summary} {failure.action}", err=True)
        raise typer.Exit(1) from None


def _settings(env: str) -> Settings:
    context = json.loads((PROJECT_ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    settings = load_settings(context, env)
    if settings.local:
        raise BusyError("Environment local has no versions to prune: `make down` ends it.")
    return settings


def lines(candidates: list[Function], *, applied: bool) -> Iterator[str]:
    """Yield a line for each version."""
    total = 0
    for function in candidates:
        for version in function.versions:
            reasons = function.reasons.get(version)
            total += reasons is None
            yield f"{function.name}:{version}  {'kept: ' + ', '.join(reasons) if reasons else 'unused'}"
    if not total:
        yield "Nothing is unused."
    elif not applied:
        yield f"{total} unused. --apply (make prune APPLY=1) deletes {'them' if total > 1 else 'it'}."


def delete(candidates: list[Function], aws: Aws) -> None:
    """Delete the unused versions; Lambda itself rejects one that an alias names.

    Raises
    ------
    CallError
        For the first that is not deleted.
    """
    for function in candidates:
        for version in function.unused:
            aws.call("lambda", "delete_function", FunctionName=function.name, Qualifier=str(version))
            typer.echo(f"deleted {function.name}:{version}")


if __name__ == "__main__":
    sys.exit(app(prog_name="python -m tools.versions"))
