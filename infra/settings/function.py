"""Settings of the Lambda function: memory, timeout, concurrency, logs, traces, metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.settings.base import Section

# API Gateway ends an integration after 29 s; a shorter timeout lets the function return its own error.
MAX_SYNC_SECONDS = 28
# Lambda developer guide, 'Improving startup performance with Lambda SnapStart': no larger ephemeral storage.
SNAP_START_STORAGE_MIB = 512


class MetricsSettings(Section):
    """Dimensions of the function's metrics. CloudWatch charges per combination of dimension values."""

    max_labels: Annotated[int, Field(ge=0, le=1000)] = 20
    by_version: bool = False


class TraceSamplingSettings(Section):
    """Requests that X-Ray records: a number per second, and a share of the rest."""

    rate: Annotated[float, Field(ge=0, le=1)] = 0.05
    per_second: Annotated[int, Field(ge=0, le=10_000)] = 1
    # The matching rule with the lowest number applies; the account's Default has 10000.
    priority: Annotated[int, Field(ge=1, le=9_999)] = 1_000


class FunctionSettings(Section):
    """The Lambda function. ``memory_mib`` also buys CPU: 1769 MiB is one vCPU."""

    memory_mib: Annotated[int, Field(ge=256, le=10240)] = 1769
    timeout_seconds: Annotated[int, Field(ge=1, le=MAX_SYNC_SECONDS)] = 15
    ephemeral_storage_mib: Annotated[int, Field(ge=512, le=10240)] = 512
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    reserved_concurrency: Annotated[int, Field(ge=1)] | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731] = 30
    tracing: bool = True
    # Default: the account's sampling rules, by default one request per second and 5 % of the rest.
    trace_sampling: TraceSamplingSettings | None = None
    metrics: MetricsSettings = MetricsSettings()
    # Published versions start from a snapshot that was taken after INIT.
    snap_start: bool = False

    def snap_start_conflict(self, *, provisioned: bool, shadow: bool, local: bool) -> str | None:
        """Return why SnapStart cannot be used, or None (Lambda developer guide, 'SnapStart', 'Limitations')."""
        if not self.snap_start:
            return None
        if provisioned:
            return "function.snap_start and scaling.provisioned exclude each other: Lambda takes one of the two"
        if self.ephemeral_storage_mib > SNAP_START_STORAGE_MIB:
            return (
                f"function.snap_start needs function.ephemeral_storage_mib of at most {SNAP_START_STORAGE_MIB} (it is "
                f"{self.ephemeral_storage_mib})"
            )
        if shadow:
            # Lambda developer guide, 'Defined runtime environment variables': with SnapStart, credentials come from an
            # endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI), and the samples are signed with those in variables.
            return "function.snap_start and shadow.challenger exclude each other: samples are signed with variables"
        if local:
            return "function.snap_start is not carried by the local cloud; leave it out there"
        return None
