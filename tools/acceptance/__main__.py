"""`python -m tools.acceptance`: the command line."""

from __future__ import annotations

import json
import secrets
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from infra.settings import SettingsError, load_settings
from localcloud.settings import compose
from tools.acceptance import transcript
from tools.acceptance.steps import API_KEYS, steps
from tools.acceptance.suite import Context, Outcome, execute
from tools.acceptance.target import Target
from tools.provenance import PROJECT, versions
from tools.region import configured_region

# What a copy must not inherit: it is destroyed at the end, with all that it stored.
COPY: dict[str, Any] = {
    "protection": {"keep_data": False, "termination_protection": False, "rule_packs": ["AwsSolutions"]},
    "function": {"log_retention_days": 1, "reserved_concurrency": None},
    "alarms": {"period_seconds": 60},
    "scaling": None,
    "network": None,
    "auth": None,
}
_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow", "not reached": "yellow"}

out = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)
app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(
    help="""Deploy a copy of an environment, test it, change its settings, destroy it, and list leftovers.

The copy has a unique name (acc- and six digits); the environment itself is never touched. The account is that of
the AWS credentials in the environment. Exit code 0 if no step failed.

Examples:

    python -m tools.acceptance --env local                  # the local cloud: about three minutes

    python -m tools.acceptance --env local --quick          # one deployment

    python -m tools.acceptance --env dev --max-usd 1        # AWS: about an hour; writes docs/aws-acceptance.md
"""
)
def acceptance(
    env: Annotated[str, typer.Option(help="Environment of cdk.json whose settings the copy has; local: the emulator.")],
    max_usd: Annotated[float, typer.Option(min=0, help="Maximum cost of the run.")] = 1.0,
    output: Annotated[Path | None, typer.Option(help="File of the transcript.")] = None,
    settings: Annotated[str | None, typer.Option(help="JSON merge patch over the environment's settings.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Deploy once: no changes of settings, no release.")] = False,
) -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        target, model = _target(env, settings)
        made_with = versions(target.name) | dict(target.versions())
    except (SettingsError, ValueError, BotoCoreError, ClientError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(2) from error
    path = output or (PROJECT / ("docs/aws-acceptance.md" if target.name == "aws" else ".local/acceptance.md"))
    outcomes: list[Outcome] = []

    def observe(outcome: Outcome) -> None:
        outcomes.append(outcome)
        status = f"[{_STYLES[outcome.status]}]{outcome.status:<11}[/]"
        out.print(f"{status} {escape(outcome.name):<58} {outcome.seconds:6.1f} s  {escape(outcome.detail)}")

    try:
        ordinary, last = steps(model, quick=quick)
        execute(Context(target, dict(API_KEYS), max_usd), ordinary, last, observe)
    except KeyboardInterrupt:
        errors.print("\ninterrupted: the copy has been destroyed, or the steps above say what is left")
        raise typer.Exit(130) from None
    finally:
        target.close()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(transcript.markdown(made_with, outcomes), encoding="utf-8")
        out.print(f"\ntranscript: {path}")
    raise typer.Exit(0 if all(outcome.status in ("passed", "skipped") for outcome in outcomes) else 1)


def _target(env: str, patch: str | None) -> tuple[Target, Path]:
    """The target of an environment, and the folder of the model that it serves."""
    try:
        overrides: dict[str, Any] = json.loads(patch) if patch else {}
    except ValueError as error:
        raise ValueError(f"--settings is not JSON: {error}.") from None
    context = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8"))["context"]
    loaded = load_settings(context, env, overrides)
    model = PROJECT / "models" / loaded.model.name
    if env == "local":
        from localcloud.state import State
        from tools.acceptance.local import LocalTarget

        return LocalTarget(State(PROJECT / ".local" / "acceptance"), overrides), model
    from tools.acceptance.aws import AwsTarget

    name = f"acc-{secrets.token_hex(3)}"
    copy = compose(COPY, overrides)
    log = PROJECT / ".local" / "acceptance" / f"{name}.log"
    return AwsTarget(env, name, copy, log, region=loaded.region or configured_region()), model


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(app())
