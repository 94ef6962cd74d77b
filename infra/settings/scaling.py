"""Settings of provisioned concurrency: bounds, target utilization, schedules."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

from infra.cron import check_cron
from infra.settings.base import Section, text


def _time_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"must be a time zone of the IANA database, such as Europe/Berlin (it is {value!r})")
    return value


class ProvisionedSettings(Section):
    """Execution environments that are initialized in advance and billed while they are provisioned.

    With ``min`` below ``max`` their number follows the load: target tracking holds the share of them that is in use at
    ``target_utilization``. With ``min`` equal to ``max`` and no schedules it is fixed.
    """

    min: Annotated[int, Field(ge=1)] = 1
    max: Annotated[int, Field(ge=1)]
    # The rest serves requests while more environments are initialized, which takes minutes.
    target_utilization: Annotated[float, Field(ge=0.1, le=0.9)] = 0.7

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        return self


class ScheduleSettings(Section):
    """Other bounds from a scheduled time on.

    Never 0: auto scaling would delete the alias's configuration, and the next deployment, which updates it, would fail
    (aws-cdk issue 29992).
    """

    name: Annotated[str, text(r"[a-z][a-z0-9-]{0,39}", "a small letter, then small letters, digits and -, at most 40")]
    cron: Annotated[str, AfterValidator(check_cron)]
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "Etc/UTC"
    min: Annotated[int, Field(ge=1)]
    max: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        return self


class ScalingSettings(Section):
    """Off unless ``provisioned`` is given. How many may run at all is ``function.reserved_concurrency``."""

    provisioned: ProvisionedSettings | None = None
    schedules: tuple[ScheduleSettings, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.schedules and self.provisioned is None:
            raise ValueError("schedules need provisioned, whose bounds they change")
        duplicates = [name for name, count in Counter(item.name for item in self.schedules).items() if count > 1]
        if duplicates:
            raise ValueError(f"schedules has the name {duplicates[0]!r} twice; names tell them apart")
        return self

    def above(self, limit: int) -> str | None:
        """Return the path of the first maximum above the limit, or None."""
        if self.provisioned is not None and self.provisioned.max > limit:
            return "scaling.provisioned.max"
        above = (index for index, schedule in enumerate(self.schedules) if schedule.max > limit)
        return next((f"scaling.schedules.{index}.max" for index in above), None)
