"""Check a version before it gets traffic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from loupe.release.cases import CaseError, payload, read_cases
from loupe.release.environments import warm
from loupe.release.invoke import InvocationError, Target
from loupe.release.judge import limit_findings, result_findings

if TYPE_CHECKING:
    from collections.abc import Callable

    from loupe.release.cases import Case
    from loupe.release.invoke import LambdaClient
    from loupe.release.settings import ReleaseSettings

# Of the time of the check, what is left for the golden cases once the environments have answered.
_WARM_SHARE = 0.7


def check_version(
    settings: ReleaseSettings, client: LambdaClient, seconds: float, note: Callable[..., None]
) -> list[str]:
    """Return findings about the new version, invoked by its number: none if it may get traffic.

    `release.environments` environments answer first. Then every golden case is sent to a warm one, for its result,
    duration and memory.

    Parameters
    ----------
    seconds
        How long the check may take.
    note
        Takes a log line: message and fields.
    """
    try:
        cases, without = read_cases(settings.models_dir, settings.models)
    except CaseError as error:
        return [str(error)]
    for model in without:
        note("no golden case", model=model)
    several, started = len(settings.models) > 1, time.monotonic()
    target = Target(client, settings.function, settings.version, started + _WARM_SHARE * seconds)
    warmed = warm(target, cases, settings.environments, started + _WARM_SHARE * seconds, several=several)
    note("environments", environments=warmed.environments, seconds=round(warmed.seconds, 1))
    findings = list(warmed.findings)
    target = Target(client, settings.function, settings.version, started + seconds)
    for case in cases if not findings else ():
        findings += _check(settings, target, case, several=several)
    note("golden cases", cases=len(cases), findings=len(findings))
    return findings


def _check(settings: ReleaseSettings, target: Target, case: Case, *, several: bool) -> list[str]:
    try:
        invocation = target.invoke(payload(case, several=several))
    except InvocationError as error:
        return [f"golden case {case.name}: {error}"]
    if invocation.executed_version != settings.version:
        version = invocation.executed_version or "unknown"
        return [f"golden case {case.name}: version {version} answered, not {settings.version}."]
    return [
        *result_findings(case, invocation.body),
        *limit_findings(
            case, invocation, max_latency_ms=settings.max_latency_ms, max_memory_share=settings.max_memory_share
        ),
    ]
