"""What a load costs a month, by the lines of AWS's bill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra import prices
from infra.plan.sizing import ROUNDING_MS, Load, Sizing
from infra.prices import Price

# Measured at the handler: its log line and its metrics take 1.3 KB a request; Lambda adds START, END and REPORT, and
# CloudWatch charges 26 bytes more for each event. The access log's line is API Gateway's, about 0.45 KB.
LAMBDA_LOG_BYTES, ACCESS_LOG_BYTES = 1_800, 450
# An answer with its headers: 0.7 KB from the function, the rest from the gateway.
ANSWER_BYTES = 1_000
GB = 1024**3

LEFT_OUT = (
    "the free tier, taxes, savings plans",
    "what is the same for every load and small: alarms, dashboard, custom metrics, keys, the image in ECR",
    "storage of logs, traces of X-Ray, uploads by S3",
    "cold starts, which are charged as duration: few under a steady load",
)


@dataclass(frozen=True)
class Line:
    """One line of the bill."""

    price: Price
    quantity: float

    @property
    def dollars(self) -> float:
        return self.price.cost(self.quantity)


@dataclass(frozen=True)
class Costs:
    """A month on demand and with provisioned concurrency.

    Attributes
    ----------
    utilization
        Share of the provisioned environments in use, over the whole month.
    break_even
        Utilization from which provisioned concurrency is the cheaper of the two.
    """

    requests: float
    on_demand: tuple[Line, ...]
    provisioned: tuple[Line, ...]
    utilization: float
    break_even: float

    @property
    def totals(self) -> tuple[float, float]:
        """On demand, provisioned."""
        on_demand, provisioned = (sum(line.dollars for line in each) for each in (self.on_demand, self.provisioned))
        return on_demand, provisioned


def monthly(load: Load, sizing: Sizing, *, waf_rules: int = 0) -> Costs:
    """Return the month's costs of a load; provisioned environments are kept the whole month."""
    busy_seconds = prices.SECONDS_A_MONTH * load.hours_a_day / 24
    requests = load.rate * busy_seconds
    gb_seconds = requests * (load.duration_ms + ROUNDING_MS) / 1000 * prices.gb(load.memory_mib)
    shared = tuple(_shared(requests, waf_rules))
    kept = sizing.provisioned
    ready = kept.least * prices.SECONDS_A_MONTH * prices.gb(load.memory_mib)
    spilled = gb_seconds * kept.spill_on_average
    architecture = load.architecture
    lambda_requests = Line(prices.LAMBDA_REQUESTS, requests)
    return Costs(
        requests=requests,
        on_demand=(lambda_requests, Line(prices.LAMBDA_DURATION[architecture], gb_seconds), *shared),
        provisioned=(
            lambda_requests,
            Line(prices.PROVISIONED_CONCURRENCY[architecture], ready),
            Line(prices.PROVISIONED_DURATION[architecture], gb_seconds - spilled),
            Line(prices.LAMBDA_DURATION[architecture], spilled),
            *shared,
        ),
        utilization=gb_seconds / ready,
        break_even=break_even(load.architecture),
    )


def break_even(architecture: prices.Architecture) -> float:
    """Return the utilization at which a provisioned environment costs what its work would cost on demand."""
    saved = prices.LAMBDA_DURATION[architecture].first - prices.PROVISIONED_DURATION[architecture].first
    return prices.PROVISIONED_CONCURRENCY[architecture].first / saved


def _shared(requests: float, waf_rules: int) -> Iterator[Line]:
    yield Line(prices.REST_API_REQUESTS, requests)
    yield Line(prices.LAMBDA_LOGS, requests * LAMBDA_LOG_BYTES / GB)
    yield Line(prices.ACCESS_LOGS, requests * ACCESS_LOG_BYTES / GB)
    yield Line(prices.DATA_OUT, requests * ANSWER_BYTES / GB)
    if waf_rules:
        yield Line(prices.WAF_WEB_ACL, 1)
        yield Line(prices.WAF_RULES, waf_rules)
        yield Line(prices.WAF_REQUESTS, requests)
