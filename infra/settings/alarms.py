"""Settings of the alarms: thresholds, period, recipients."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.settings.base import Section, text


class BudgetSettings(Section):
    """AWS Budgets: messages to the alarms' topic about actual and forecast costs of a month."""

    monthly_usd: Annotated[float, Field(gt=0)]
    # The costs of a stack are known only after the tag aws:cloudformation:stack-name is activated for billing.
    scope: Literal["stack", "account"] = "stack"


class AlarmSettings(Section):
    """Thresholds and recipients. Rates are shares of requests: 0.05 is 5 %."""

    enabled: bool = True
    subscriptions: tuple[Annotated[str, text(r"[^@\s]+@[^@\s]+", "an e-mail address")], ...] = ()
    # Page that the alarms link to, without a fragment. The default is the page in this repository.
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
    # Share of classifications; periods with fewer than ten cold starts do not count.
    cold_start_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    # Requests that the firewall blocks in a period.
    firewall_blocks: Annotated[int, Field(ge=1)] = 1_000
    # Tokens in a period that could not be verified because of the authorizer or the issuer.
    authorizer_faults: Annotated[int, Field(ge=1)] = 5
    # One message for all alarms of severity "page" together, in place of one for each.
    composite: bool = True
    budget: BudgetSettings | None = None
    # Queries of Logs Insights beside the dashboard. They cost nothing until they run.
    saved_queries: bool = True

    def conflict(self, *, local: bool) -> str | None:
        """Return what cannot be deployed, or None."""
        if self.period_seconds < 60 and not local:
            return "alarms.period_seconds below 60 never sees AWS/Lambda metrics, which come once a minute"
        return None

    def local_cloud_conflict(self) -> str | None:
        """Return which of these settings the local cloud does not support, or None."""
        if self.enabled and self.composite:
            return "alarms.composite is not carried by the local cloud; set it to false there"
        if self.saved_queries:
            return "alarms.saved_queries is not carried by the local cloud; set it to false there"
        if self.budget is not None:
            return "alarms.budget is not carried by the local cloud; leave it out there"
        return None
