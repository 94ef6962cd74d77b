"""The alias that serves: pinned, moved by hand, or left with weights, which makes a deployment fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.pins import FOLDER, PinError, read_pin
from infra.settings import Settings
from tools.doctor.aws import Aws, CallError
from tools.doctor.findings import Finding, error, ok, warning
from tools.operations.alias import Alias, move_command, read_alias, repair_command
from tools.operations.deployments import deployments
from tools.operations.stack import NotDeployedError, Stack, read_stack
from tools.operations.target import OperationError, Target

CHECK = "alias"


def check(settings: Settings, aws: Aws, pins: Path = FOLDER) -> Iterator[Finding]:
    """Compare the alias with the stack, with CodeDeploy and with the pin.

    Raises
    ------
    CallError
    """
    env = settings.environment
    try:
        pin = read_pin(env, pins)
    except PinError as failure:
        yield error(CHECK, str(failure), f"make rollback ENV={env} LIFT=1")
        return
    if pin is not None:
        yield error(CHECK, f"{env} is {pin.sentence()}.", f"make rollback ENV={env} LIFT=1")
    try:
        stack = read_stack(Target(env, aws))
        alias = read_alias(aws, stack)
    except NotDeployedError:
        if pin is None:
            yield ok(CHECK, "Nothing is deployed yet.")
        return
    except OperationError as failure:
        yield warning(CHECK, str(failure), f"make status ENV={env}")
        return
    except CallError as failure:
        # The check of the alarms reads the stack, too, and reports that it cannot.
        if failure.operation == "cloudformation:DescribeStacks":
            return
        raise
    findings = list(
        _compare(env, aws, stack, alias, pinned=None if pin is None else pin.version, gradual=settings.release.gradual)
    )
    yield from findings
    if not findings and pin is None:
        yield ok(CHECK, f"Alias {alias.name} serves version {alias.version}, the newest of the stack.")


def _compare(env: str, aws: Aws, stack: Stack, alias: Alias, *, pinned: str | None, gradual: bool) -> Iterator[Finding]:
    running = [deployment.id for deployment in deployments(aws, stack) if deployment.unfinished]
    if running:
        yield warning(
            CHECK,
            f"CodeDeploy deployment {running[0]} is in progress; CloudFormation takes no other update before its end.",
            f"Wait for it (make status ENV={env}), or stop it with make rollback ENV={env}.",
        )
    elif alias.weights:
        shares = ", ".join(f"{share:.0%} on version {version}" for version, share in alias.weights.items())
        yield error(
            CHECK,
            f"Alias {alias.name} is half-shifted: version {alias.version}, {shares}, and no deployment is in progress. "
            "The next one fails, with provisioned concurrency by 'Invalid alias configuration for Provisioned "
            "Concurrency'.",
            f"{repair_command(alias)} (all traffic to version {alias.version}), or make rollback ENV={env}",
        )
    elif pinned not in (None, alias.version):
        yield warning(
            CHECK,
            f"The pin says version {pinned}, and alias {alias.name} serves version {alias.version}.",
            f"make rollback ENV={env} VERSION={pinned}",
        )
    elif pinned is None and gradual and stack.version not in (None, alias.version):
        yield error(
            CHECK,
            f"Alias {alias.name} serves version {alias.version}, and the stack deployed version {stack.version}. "
            "CodeDeploy rejects a gradual release that does not begin at the version of the stack.",
            f"Release all at once first: make deploy ENV={env} "
            """SETTINGS='{"release": {"strategy": "all_at_once"}}' """
            f"(docs/releases.md). Or undo it: {move_command(alias, stack.version or '')}",
        )
    elif pinned is None and stack.version not in (None, alias.version):
        yield warning(
            CHECK,
            f"Alias {alias.name} serves version {alias.version}, the stack deployed version {stack.version}, and no "
            "pin says why. A deployment that publishes a version moves the alias; one that does not leaves it.",
            f"Keep it: make rollback ENV={env} VERSION={alias.version} REASON=... "
            f"Or undo it: {move_command(alias, stack.version or '')}",
        )
