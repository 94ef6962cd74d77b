"""Settings of bulk jobs: a state machine that classifies the images of a manifest or a prefix in S3."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from infra.settings.base import Section, text

# Prefix of the results bucket from which jobs may read.
INPUTS = "inputs/"
MAX_BATCH_ITEMS = 1000
# Reserve of the jobs function, where the bulk function has one: it starts a job, shows it, sums it up.
JOBS_CONCURRENCY = 5


class OnUploadSettings(Section):
    """Objects that arrive below a prefix of the results bucket are classified by themselves."""

    enabled: bool = False
    prefix: Annotated[
        str, text(r"inputs/([^/*?$,\x00-\x1f\x7f]+/)+", "a prefix below inputs/ with the slash at the end")
    ] = "inputs/arrivals/"
    # Records of one invocation. Those that fail return to the queue alone.
    batch_items: Annotated[int, Field(ge=1, le=1000)] = 10
    # AWS/SQS event sources take 2 to 1000 (Lambda API reference, ScalingConfig).
    max_concurrency: Annotated[int, Field(ge=2, le=1000)] = 2
    # Attempts before an object goes to the dead-letter queue.
    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    # An SNS message for each object, to subscribers of the topic that the stack outputs.
    notify: bool = False


class BulkSettings(Section):
    """Bulk jobs. ``max_concurrency`` is the most that one job may run at once."""

    enabled: bool = False
    memory_mib: Annotated[int, Field(ge=512, le=10240)] = 1769
    timeout_seconds: Annotated[int, Field(ge=60, le=900)] = 300
    # Without it, jobs and the endpoint share the concurrency that the account has not reserved.
    reserved_concurrency: Annotated[int, Field(ge=1)] | None = None
    max_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 10
    batch_items: Annotated[int, Field(ge=1, le=MAX_BATCH_ITEMS)] = 50
    # Seconds of one execution environment, for estimates: busy_seconds / images of a summary. See docs/bulk.md.
    seconds_per_image: Annotated[float, Field(gt=0, le=3600)] = 0.05
    # Rows and summaries; Step Functions deletes an execution after 90 days.
    results_days: Annotated[int, Field(ge=1, le=3650)] = 90
    on_upload: OnUploadSettings = OnUploadSettings()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.enabled and self.on_upload.enabled:
            raise ValueError("on_upload.enabled needs enabled")
        seconds = self.batch_items * self.seconds_per_image
        if seconds > self.timeout_seconds:
            # Attempts that run out of time go on from each other's rows, but only the retries' number of times.
            raise ValueError(
                f"a batch takes {seconds:g} s (batch_items, {self.batch_items}, times seconds_per_image, "
                f"{self.seconds_per_image:g}), more than timeout_seconds ({self.timeout_seconds}): lower batch_items"
            )
        reserve = self.reserved_concurrency
        if reserve is None:
            return self
        arrivals = self.on_upload.max_concurrency if self.on_upload.enabled else 0
        if self.max_concurrency + arrivals > reserve:
            parts = "max_concurrency and on_upload.max_concurrency" if arrivals else "max_concurrency"
            raise ValueError(
                f"reserved_concurrency ({reserve}) is below {parts} ({self.max_concurrency + arrivals}), so that a job "
                "would be throttled by itself"
            )
        return self
