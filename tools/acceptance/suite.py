"""Run the steps of an acceptance in order, always destroy the deployment, and record each outcome."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from tools.acceptance.target import AcceptanceError, Deployed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tools.acceptance.target import Target

Status = Literal["passed", "failed", "skipped", "not reached"]


@dataclass
class Context:
    """State that the steps share.

    Attributes
    ----------
    settings
        Those that are deployed now, over the environment's.
    max_usd
        Most that the run may cost.
    """

    target: Target
    settings: dict[str, Any]
    max_usd: float
    deployed: Deployed | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def endpoint(self) -> Deployed:
        """The deployment under test; `AcceptanceError` if there is none."""
        if self.deployed is None:
            raise AcceptanceError("nothing is deployed")
        return self.deployed

    def deploy(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.deployed = self.target.deploy(settings)


@dataclass(frozen=True)
class Step:
    """A named step.

    Attributes
    ----------
    run
        Returns a detail for the transcript; raises `AcceptanceError` if the step fails.
    needs
        Capability of the target without which the step shows nothing.
    essential
        Whether later steps make no sense if this one fails.
    left_out
        Reason for which the user of the suite skips it.
    """

    name: str
    run: Callable[[Context], str]
    needs: str = ""
    essential: bool = False
    left_out: str = ""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step."""

    name: str
    status: Status
    detail: str
    seconds: float


def execute(
    context: Context, steps: Sequence[Step], last: Sequence[Step], observe: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run ``steps``, then ``last`` in any case: after a failure, an interrupt, or success."""
    outcomes: list[Outcome] = []

    def record(outcome: Outcome) -> None:
        outcomes.append(outcome)
        observe(outcome)

    stopped = ""
    try:
        for step in steps:
            if stopped:
                record(Outcome(step.name, "not reached", f"{stopped} failed", 0.0))
                continue
            record(_run(context, step))
            if step.essential and outcomes[-1].status == "failed":
                stopped = step.name
    finally:
        for step in last:
            record(_run(context, step))
    return outcomes


def _run(context: Context, step: Step) -> Outcome:
    if reason := context.target.limits.get(step.needs) or step.left_out:
        return Outcome(step.name, "skipped", reason, 0.0)
    begin = time.monotonic()
    try:
        detail, status = step.run(context), "passed"
    except (AcceptanceError, ClientError, BotoCoreError) as error:
        detail, status = str(error), "failed"
    return Outcome(step.name, "passed" if status == "passed" else "failed", detail, time.monotonic() - begin)
