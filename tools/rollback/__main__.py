"""`python -m tools.rollback`: the command line."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from infra.paths import PROJECT_ROOT
from infra.pins import Pin, PinError, pin_file, read_pin, reason_of, remove_pin, write_pin
from tools.doctor.aws import CallError
from tools.operations.alias import Alias, move_command, provisioned_configs, published_versions, read_alias
from tools.operations.deployments import Deployment, deployments
from tools.operations.failures import fail, sentence
from tools.operations.plain import plain
from tools.operations.stack import Stack, read_stack
from tools.operations.target import LOCAL_STATE, OperationError, Target, connect
from tools.rollback import choice, moving

app = typer.Typer(add_completion=False)


@app.command(
    help="""Return a deployment to its previous version, or to a given one, and pin it there.

Stops a CodeDeploy deployment in progress, moves the alias, and writes pins/<env>.json, which the next synth rejects
until the pin is lifted. Exit code 0 if all traffic is on the version, 1 if it is not yet, 2 if the alias was not moved.

Examples:

    python -m tools.rollback --env prod --reason "labels are swapped since 8"

    python -m tools.rollback --env prod --version 5 --yes

    python -m tools.rollback --env prod --lift
"""
)
def main(
    env: Annotated[str, typer.Option(help="Environment of cdk.json, or local.")] = "dev",
    version: Annotated[
        int | None, typer.Option(min=1, help="Number of the version; default: the previous one.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; whoever deploys next reads it.")] = None,
    lift: Annotated[
        bool, typer.Option("--lift", help="Remove the pin, so that the environment can be deployed again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before production is changed.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also to a version that does not answer.")] = False,
    region: Annotated[str | None, typer.Option(help="Region of the deployment; default: that of its settings.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of the local cloud, for --env local.")] = LOCAL_STATE,
) -> None:
    try:
        target = connect(env, region=region, state=state)
        if lift:
            _lift(target)
            return
        done = _roll_back(target, None if version is None else str(version), reason_of(reason), yes=yes, force=force)
    except (OperationError, PinError) as error:
        fail(str(error))
    except CallError as failure:
        fail(sentence(failure))
    raise typer.Exit(0 if done else 1)


def _roll_back(target: Target, requested: str | None, reason: str, *, yes: bool, force: bool) -> bool:
    aws, stack = target.aws, read_stack(target)
    alias, versions = read_alias(aws, stack), published_versions(aws, stack.function)
    unfinished = [deployment for deployment in deployments(aws, stack) if deployment.unfinished]
    version = requested or choice.previous(alias, versions, stack.version, deploying=bool(unfinished))
    provisioned = provisioned_configs(aws, stack.function)
    for note in choice.check(aws, alias, version, versions, provisioned):
        _log(f"note: {note}")
    if not force and (unknown := choice.check_health(aws, alias, version)):
        _log(f"note: {unknown}")
    _confirm(target, alias, version, unfinished, yes=yes)
    before = read_pin(target.environment, target.pins)
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    pin = Pin(target.environment, version, _replaced(alias, stack, version), now, reason)
    path = write_pin(pin, target.pins)
    try:
        for deployment in unfinished:
            stopped = moving.stop(aws, deployment, time.sleep)
            _log(f"CodeDeploy deployment {deployment.id} is {stopped.status}.")
        if unfinished:
            alias = read_alias(aws, stack)
        if alias.version == version and not alias.weights:
            _log(f"Alias {alias.name} already sends everything to version {version}.")
        else:
            moving.move(aws, alias, version, time.sleep)
            _log(f"Alias {alias.name} is moved from version {_traffic(alias)} to version {version}.")
    except (CallError, OperationError):
        if unfinished:
            _log(
                "note: The deployment in progress may have been stopped: `make status` shows the alias and its weights."
            )
        # Nothing is pinned that was not moved.
        remove_pin(target.environment, target.pins)
        if before is not None:
            write_pin(before, target.pins)
        raise
    if provisioned:
        _log("Lambda starts the version's provisioned environments before it moves the traffic; that may take minutes.")
    alias = moving.wait_until_settled(aws, stack, version, time.sleep)
    _next_steps(target, stack, alias, pin, path, stopped=bool(unfinished))
    return alias.version == version and not alias.weights


def _replaced(alias: Alias, stack: Stack, version: str) -> str:
    """The version that the rollback is from: of those that served or were deployed, the newest that is another."""
    others = {int(item) for item in (alias.version, *alias.weights, stack.version or alias.version)} - {int(version)}
    return str(max(others, default=int(version)))


def _traffic(alias: Alias) -> str:
    shares = [f"{share:.0%} on {version}" for version, share in alias.weights.items()]
    return f"{alias.version} ({', '.join(shares)})" if shares else alias.version


def _confirm(target: Target, alias: Alias, version: str, unfinished: list[Deployment], *, yes: bool) -> None:
    if not target.production or yes:
        return
    stops = f" and stops CodeDeploy deployment {', '.join(item.id for item in unfinished)}" if unfinished else ""
    question = f"This moves {target.environment} from version {_traffic(alias)} to version {version}{stops}. Go on?"
    if not sys.stdin.isatty():
        raise OperationError(f"{question} There is no terminal to ask: confirm with YES=1.")
    if not typer.confirm(question, err=True):
        raise OperationError("Nothing was changed.")


def _next_steps(target: Target, stack: Stack, alias: Alias, pin: Pin, path: Path, *, stopped: bool) -> None:
    env = target.environment
    if alias.version != pin.version or alias.weights:
        _log(
            f"Not all traffic is on version {pin.version} yet: {_traffic(alias)}. `make status ENV={env}` shows the "
            "progress of provisioned concurrency."
        )
    else:
        _log(f"All requests are served by version {pin.version}.")
    shown = path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path
    _log(f"{env} is pinned ({shown}): synth and deploy reject it.")
    steps = [f"make status ENV={env}"]
    if stopped:
        steps.append(f"wait until stack {stack.name} has rolled back; if the alias has moved, run this command again")
    if not target.local:
        steps.append(f'git add {shown} && git commit -m "Pin {env} to version {pin.version}" && git push')
    steps.append("correct the cause in the repository")
    steps.append(f"make rollback ENV={env} LIFT=1, then {_deploy(target, stack, alias)}")
    _log("Next:")
    for number, step in enumerate(steps, 1):
        _log(f"  {number}. {step}")


def _deploy(target: Target, stack: Stack, alias: Alias) -> str:
    """Return the command by which the next version is deployed.

    A gradual release begins at the version of CloudFormation's template, and CodeDeploy rejects it while the alias is
    elsewhere, so the first one goes all at once.
    """
    command = "make up" if target.local else f"make deploy ENV={target.environment}"
    if stack.version in (None, alias.version) or not stack.physical("AWS::CodeDeploy::Application"):
        return command
    return (
        f"""{command} SETTINGS='{{"release": {{"strategy": "all_at_once"}}}}', then {command} """
        "(docs/releases.md#after-make-rollback)"
    )


def _lift(target: Target) -> None:
    env = target.environment
    if not pin_file(env, target.pins).exists():
        raise OperationError(f"{env} is not pinned.")
    try:
        pin = read_pin(env, target.pins)
    except PinError:
        # A damaged file is lifted, too.
        pin = None
    remove_pin(env, target.pins)
    _log(f"The pin of {env} is lifted" + (f" (it was {pin.sentence()})." if pin else "."))
    try:
        stack = read_stack(target)
        alias = read_alias(target.aws, stack)
    except (CallError, OperationError) as error:
        _log(f"note: The alias was not read ({sentence(error) if isinstance(error, CallError) else error}).")
        return
    deploy = f"{'' if target.local else 'commit the deletion, then '}{_deploy(target, stack, alias)}"
    if stack.version in (None, alias.version):
        _log(f"Next: {deploy}.")
        return
    _log(
        f"The alias stays on version {alias.version}; the stack's newest is {stack.version}. A deployment that changes "
        f"the function publishes a new version and moves the alias to it: {deploy}. One that changes nothing of the "
        f"function leaves the alias where it is. To serve version {stack.version} again: "
        f"{move_command(alias, stack.version or '')}"
    )


def _log(text: str) -> None:
    print(plain(text), flush=True)


if __name__ == "__main__":
    app(prog_name="python -m tools.rollback")
