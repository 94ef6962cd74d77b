"""Settings of releases: how the alias moves to a new version, what stops it, how many versions are kept."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from infra.settings.base import Section

# CodeDeploy quotas, 'AWS Lambda deployment run in hours': 48 hours between the first and the last shift of traffic.
MAX_SHIFT_MINUTES = 48 * 60
# A release alarm evaluates three periods of a minute: a shorter step would end before the evaluation.
ALARM_PERIODS = 3


class ReleaseSettings(Section):
    """By default the alias moves all at once, with no checks: for experiments."""

    # canary: percent of the traffic, and after interval_minutes the rest. linear: percent more in every interval.
    strategy: Literal["all_at_once", "canary", "linear"] = "all_at_once"
    percent: Annotated[int, Field(ge=1, le=99)] = 10
    interval_minutes: Annotated[int, Field(ge=ALARM_PERIODS, le=MAX_SHIFT_MINUTES)] = 10
    # Golden cases before the first traffic, and the core of the smoke test after the last shift.
    hooks: bool = True
    # Golden cases to the new version in every minute of a shift.
    synthetic_traffic: bool = True
    # Execution environments that answer before the first traffic.
    environments: Annotated[int, Field(ge=1, le=100)] = 3
    # Limit on a golden case in a warm environment, and on p90 of the new version's requests.
    max_latency_ms: Annotated[int, Field(ge=1, le=28_000)] = 3_000
    # Share of the function's memory after all golden cases.
    max_memory_share: Annotated[float, Field(ge=0.1, le=1)] = 0.9
    # Share of the new version's requests: crashes, timeouts and responses with a server fault.
    error_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    # Newest versions that `make prune` leaves, beside those in use.
    keep_versions: Annotated[int, Field(ge=2, le=100)] = 5

    @model_validator(mode="after")
    def _within_limits(self) -> Self:
        minutes = self.shift_minutes
        if minutes > MAX_SHIFT_MINUTES:
            raise ValueError(
                f"a linear shift by percent ({self.percent}) every interval_minutes ({self.interval_minutes}) takes "
                f"{minutes} minutes, and CodeDeploy {MAX_SHIFT_MINUTES} at most: raise percent or lower the interval"
            )
        return self

    @property
    def gradual(self) -> bool:
        """Whether CodeDeploy shifts the traffic."""
        return self.strategy != "all_at_once"

    @property
    def shift_minutes(self) -> int:
        """Minutes between the first and the last shift of traffic."""
        if self.strategy == "linear":
            return (ceil(100 / self.percent) - 1) * self.interval_minutes
        return self.interval_minutes if self.strategy == "canary" else 0

    def conflict(self, reserved_concurrency: int | None, *, alarms: bool) -> str | None:
        """Return how it conflicts with other sections of the environment, or None."""
        if not self.gradual:
            return None
        if not alarms:
            return f"release.strategy {self.strategy!r} rolls back by alarms: set alarms.enabled"
        if self.hooks and reserved_concurrency is not None and 2 * self.environments > reserved_concurrency:
            return (
                f"release.environments ({self.environments}) is above half of function.reserved_concurrency "
                f"({reserved_concurrency}): the check of a version would throttle the clients of the other"
            )
        return None
