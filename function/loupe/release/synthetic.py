"""Synthetic traffic: golden cases for the new version while an alias shifts to it.

A canary of a quiet service would pass without a request. The cases go to the version by its number, because an alias
with weights would send most of them to the old one.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from loupe.release.cases import CaseError, payload, read_cases
from loupe.release.invoke import InvocationError, Target, ThrottledError
from loupe.release.judge import result_findings

if TYPE_CHECKING:
    from loupe.release.cases import Case
    from loupe.release.invoke import LambdaClient
    from loupe.release.settings import ReleaseSettings

# Requests at once: a quiet service gets few, and a full reserve would throttle its clients.
CONCURRENCY = 2


class Traffic(NamedTuple):
    """One round: requests sent to ``version``, and findings. Empty while the alias has no weights."""

    version: str
    requests: int
    findings: tuple[str, ...]


def send(settings: ReleaseSettings, client: LambdaClient, seconds: float, version: str) -> Traffic:
    """Send every golden case to a version once; wrong results and crashes are findings.

    A throttled case does not count: then clients use the concurrency, and their requests show how the version does.
    """
    target = Target(client, settings.function, version, time.monotonic() + seconds)
    several = len(settings.models) > 1
    try:
        cases, _ = read_cases(settings.models_dir, settings.models)
    except CaseError as error:
        return Traffic(version, 0, (str(error),))

    def ask(case: Case) -> tuple[str, ...] | None:
        try:
            return tuple(result_findings(case, target.invoke(payload(case, several=several)).body))
        except ThrottledError:
            return None
        except InvocationError as error:
            return (f"golden case {case.name}: {error}",)

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        answered = [problems for problems in pool.map(ask, cases) if problems is not None]
    return Traffic(version, len(answered), tuple(finding for problems in answered for finding in problems))


def shifting_to(client: LambdaClient, function: str, alias: str) -> str | None:
    """Return the version that an alias shifts to, or None if it has no routing weights.

    Several additional versions do not exist: an alias takes two versions at most (Lambda developer guide, 'Implement
    Lambda canary deployments using a weighted alias').
    """
    routing: dict[str, Any] = client.get_alias(FunctionName=function, Name=alias).get("RoutingConfig") or {}
    weights = routing.get("AdditionalVersionWeights") or {}
    return next(iter(weights), None)
