"""All checks of one environment, each with its failures as findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from infra.settings import Settings
from tools.doctor import account, alias, engine, image, notices, versions
from tools.doctor.aws import Aws, CallError
from tools.doctor.findings import Finding, error

CHECKS = (
    "environment",
    "docker",
    "account",
    "bootstrap",
    "concurrency",
    "log-role",
    "image",
    "alias",
    "versions",
    "alarms",
    "tags",
)


@dataclass(frozen=True)
class CheckContext:
    """Interfaces that the checks use: AWS, the container engine, and ECR's storage.

    Attributes
    ----------
    aws
        None where there is no region to ask.
    program
        What the CDK builds images with.
    """

    aws: Aws | None
    program: str = "docker"
    qualifier: str = account.DEFAULT_QUALIFIER
    runner: engine.Runner = field(default=engine.run)
    download: image.Download = field(default=image.download)


def examine(settings: Settings, context: CheckContext) -> list[Finding]:
    """Return the findings of all checks, in the order in which a deployment would meet them."""
    if settings.local:
        return [
            error("environment", "Environment local is the local cloud and is not deployed to AWS.", "Run `make up`.")
        ]
    findings = [*engine.check(settings, context.runner, context.program), *notices.tags(settings)]
    if context.aws is None:
        findings.append(
            error(
                "account",
                "Neither the settings nor the AWS configuration name a region.",
                f"Set region in environments.{settings.environment} of cdk.json, or AWS_REGION.",
            )
        )
        return [*findings, *notices.alarms(settings, None)]
    aws = context.aws
    try:
        number, account_findings = account.identity(settings, aws)
    except CallError as failure:
        # Without an identity every other call would fail for the same reason.
        return [*findings, failure.finding("account"), *notices.alarms(settings, None)]
    findings += account_findings
    if settings.account not in (None, number):
        return [*findings, *notices.alarms(settings, None)]
    checks: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
        ("bootstrap", lambda: account.bootstrap(aws, number, context.qualifier)),
        ("concurrency", lambda: account.concurrency(settings, aws)),
        ("log-role", lambda: account.log_role(settings, aws)),
        ("image", lambda: image.check(settings, aws, number, context.qualifier, context.download)),
        ("alias", lambda: alias.check(settings, aws)),
        ("versions", lambda: versions.check(settings, aws)),
        ("alarms", lambda: notices.alarms(settings, aws)),
    )
    for name, check in checks:
        try:
            findings += check()
        except CallError as failure:
            findings.append(failure.finding(name))
    return findings
