"""Settings of the alarms: thresholds, period, recipients."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.settings.base import Section, text


class AlarmSettings(Section):
    """Thresholds and recipients. Rates are shares of requests: 0.05 is 5 %."""

    enabled: bool = True
    subscriptions: tuple[Annotated[str, text(r"[^@\s]+@[^@\s]+", "an e-mail address")], ...] = ()
    # What the alarms link to, without a fragment. The default is the page in this repository.
    runbook: Annotated[
        str, text(r"docs/runbook\.md|https://[^\s#]{1,400}", "an https address of at most 408 characters, without '#'")
    ] = "docs/runbook.md"
    period_seconds: Literal[10, 30, 60, 300] = 60
    evaluation_periods: Annotated[int, Field(ge=1, le=60)] = 5
    function_error_rate: Annotated[float, Field(gt=0, le=1)] = 0.02
    throttles: Annotated[int, Field(ge=1)] = 5
    duration_share_of_timeout: Annotated[float, Field(gt=0, le=1)] = 0.8
    concurrency_share_of_reserve: Annotated[float, Field(gt=0, le=1)] = 0.9
    # Requests and batch items for which the function returns a 5xx, over all routes and direct invocations.
    server_fault_rate: Annotated[float, Field(gt=0, le=1)] = 0.02
    api_error_rate: Annotated[float, Field(gt=0, le=1)] = 0.02
    api_latency_p99_ms: Annotated[int, Field(ge=1)] = 5_000
    undecodable_rate: Annotated[float, Field(gt=0, le=1)] = 0.25
