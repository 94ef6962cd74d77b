"""Run checks in turn and record the outcome of each."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tools.smoke.endpoint import CheckError, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tools.smoke.card import Card
    from tools.smoke.endpoint import Endpoint

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Options:
    """What a run checks beyond the defaults.

    Attributes
    ----------
    cors_origin
        An origin that the deployment allows; None if it allows none.
    throttle_requests
        How many requests may be sent at once to provoke a 429; 0 leaves the check out.
    latency_requests
        Requests behind the latency percentiles.
    max_p95_ms
        Fail if the 95th percentile of a golden image's round trip is above; None measures only.
    job_manifest
        ``s3://bucket/key`` of a manifest in an allowed location, over which a job is run; None starts no job.
    """

    cors_origin: str | None = None
    throttle_requests: int = 0
    latency_requests: int = 20
    max_p95_ms: float | None = None
    job_manifest: str | None = None


@dataclass
class Run:
    """One smoke test: its subject, expectations and measurements."""

    endpoint: Endpoint
    card: Card
    options: Options = field(default_factory=Options)
    latency: dict[str, float] = field(default_factory=dict)

    @cached_property
    def experiment(self) -> str:
        """What ``X-Experiment`` says of an answered image, or '' if the endpoint runs no experiment."""
        body = self.card.golden[0].path.read_bytes()
        return self.endpoint.post("v1/classify", body, "application/octet-stream").headers.get("x-experiment", "")

    def of_card(self, path: str) -> str:
        """Return the path under which the card's model answers, where an experiment may choose another one."""
        return path.replace("v1/", f"v1/models/{self.card.name}/", 1) if self.experiment else path


@dataclass(frozen=True)
class Check:
    """A named check. ``run`` returns a detail for the report, or raises `CheckError` or `NotApplicableError`."""

    name: str
    run: Callable[[Run], str]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check."""

    name: str
    status: Status
    detail: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def execute(run: Run, checks: Iterable[Check], observe: Callable[[Outcome], None] = lambda _: None) -> list[Outcome]:
    """Run all checks, including those after a failure."""
    outcomes = []
    for check in checks:
        begin = time.monotonic()
        status: Status = "passed"
        try:
            detail = check.run(run)
        except CheckError as failure:
            status, detail = "failed", str(failure)
        except NotApplicableError as reason:
            status, detail = "skipped", str(reason)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            # A response of another shape than the contract's.
            status, detail = (
                "failed",
                f"the response has not the shape of the contract ({type(error).__name__}: {error})",
            )
        outcomes.append(Outcome(check.name, status, detail, time.monotonic() - begin))
        observe(outcomes[-1])
    return outcomes
