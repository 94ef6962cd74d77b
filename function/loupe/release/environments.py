"""Wait until several execution environments of a version have responded."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import TYPE_CHECKING, NamedTuple

from loupe.release.cases import payload
from loupe.release.invoke import InvocationError, ThrottledError
from loupe.release.judge import result_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loupe.release.cases import Case
    from loupe.release.invoke import Target

# Each wave sends twice as many requests as the one before, up to this multiple of the required environments.
_MAX_WAVE = 4


class WarmUp(NamedTuple):
    """Number of environments that responded; findings about their results, or that there are too few."""

    environments: int
    seconds: float
    findings: tuple[str, ...]


def warm(target: Target, cases: Sequence[Case], count: int, deadline: float, *, several: bool) -> WarmUp:
    """Send golden cases, `count` and more at a time, until `count` environments have responded.

    An environment serves one request at a time, so concurrent requests reach different ones. Each response names its
    environment (`loupe.identity`).

    Parameters
    ----------
    deadline
        Monotonic seconds.
    """
    started = time.monotonic()
    identities: set[str] = set()
    findings: dict[str, None] = {}
    queue = cycle(cases)
    width, throttled = count, ""
    while len(identities) < count and not findings:
        if time.monotonic() >= deadline:
            findings[
                f"{len(identities)} of {count} execution environments (release.environments) answered in "
                f"{time.monotonic() - started:.0f} s{throttled}."
            ] = None
            break
        with ThreadPoolExecutor(width) as pool:
            wave = list(pool.map(lambda case: _classify(target, case, several=several), islice(queue, width)))
        for identity, problems in wave:
            identities |= {identity} if identity else set()
            findings |= dict.fromkeys(problems or ())
        if any(problems is None for _, problems in wave):
            throttled = "; others were throttled: function.reserved_concurrency or the account's limit is used up"
        width = min(2 * width, _MAX_WAVE * count)
    return WarmUp(len(identities), time.monotonic() - started, tuple(findings))


def _classify(target: Target, case: Case, *, several: bool) -> tuple[str, tuple[str, ...] | None]:
    """Return the identity of the environment that responded, and findings; None for a throttled request."""
    try:
        body = target.invoke(payload(case, several=several)).body
    except ThrottledError:
        return "", None
    except InvocationError as error:
        return "", (f"golden case {case.name}: {error}",)
    identity = body.get("environment") if isinstance(body, dict) else None
    findings = tuple(result_findings(case, body))
    if not findings and not isinstance(identity, str):
        findings = (f"golden case {case.name}: the answer does not name its execution environment.",)
    return identity or "", findings
