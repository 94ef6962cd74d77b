"""Monthly costs of a load, by the lines of the AWS bill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from infra.settings import ShadowSettings
from tools import prices
from tools.plan.inventory import Inventory
from tools.plan.sizing import BASE64, ROUNDING_MS, Load, Sizing
from tools.prices import Price

# Measured at the handler: its log line and its metrics take 1.3 KB a request; Lambda adds START, END and REPORT, and
# CloudWatch charges 26 bytes more for each event. The access log's line is API Gateway's, about 0.45 KB.
LAMBDA_LOG_BYTES, ACCESS_LOG_BYTES = 1_800, 450
# An answer with its headers: 0.7 KB from the function, the rest from the gateway.
ANSWER_BYTES = 1_000
GB = 1024**3
# An asynchronous invocation is one request up to 256 KB, and one more for each further 64 KB (AWS Lambda pricing).
EVENT_KB, FURTHER_KB = 256, 64
# Above this size of the base64 text an image goes through S3 (`infra.challenger`), KB.
LARGEST_EVENT_KB = 950

LEFT_OUT = (
    "free tiers, taxes, savings plans",
    "storage: logs, the image in ECR, uploads in S3",
    "requests to KMS and S3, the authorizer of auth.mode 'jwt', tokens of Cognito, alarms of target tracking",
    "cold starts, which are charged as duration: few under a steady load",
    "the release functions: about $0.05 a month for a look at the alias each minute",
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
        on_demand, provisioned = (sum(line.dollars for line in lines) for lines in (self.on_demand, self.provisioned))
        return on_demand, provisioned


def monthly(load: Load, sizing: Sizing, monitored: Inventory | None = None) -> Costs:
    """Return the month's costs of a load; provisioned environments are kept the whole month.

    Parameters
    ----------
    monitored
        What the environment has beside function and API; None leaves it out.
    """
    busy_seconds = prices.SECONDS_A_MONTH * load.hours_a_day / 24
    requests = load.rate * busy_seconds
    gb_seconds = requests * (load.duration_ms + ROUNDING_MS) / 1000 * prices.gb(load.memory_mib)
    shared = tuple(_shared(requests))
    if monitored is not None:
        shared += tuple(_monthly_fees(monitored, requests, _traced(monitored, load.rate, busy_seconds)))
        if monitored.shadow is not None:
            shared += tuple(_shadow(monitored.shadow, load, requests))
    environments = sizing.provisioned
    ready = environments.least * prices.SECONDS_A_MONTH * prices.gb(load.memory_mib)
    spilled = gb_seconds * environments.spill_on_average
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


def _shared(requests: float) -> Iterator[Line]:
    yield Line(prices.REST_API_REQUESTS, requests)
    yield Line(prices.LAMBDA_LOGS, requests * LAMBDA_LOG_BYTES / GB)
    yield Line(prices.ACCESS_LOGS, requests * ACCESS_LOG_BYTES / GB)
    yield Line(prices.DATA_OUT, requests * ANSWER_BYTES / GB)


def _monthly_fees(monitored: Inventory, requests: float, traces: float) -> Iterator[Line]:
    alarms = prices.ALARM_METRICS_HIGH_RESOLUTION if monitored.high_resolution else prices.ALARM_METRICS
    if monitored.waf_rules:
        yield Line(prices.WAF_WEB_ACL, 1)
        yield Line(prices.WAF_RULES, monitored.waf_rules)
        yield Line(prices.WAF_REQUESTS, requests)
    yield Line(prices.CUSTOM_METRICS, monitored.custom_metrics)
    yield Line(alarms, monitored.alarm_metrics)
    if monitored.composite_alarms:
        yield Line(prices.COMPOSITE_ALARMS, monitored.composite_alarms)
    yield Line(prices.DASHBOARDS, 1)
    if traces:
        yield Line(prices.XRAY_TRACES, traces)
    yield Line(prices.KMS_KEYS, monitored.keys)
    yield Line(prices.SECRETS, monitored.secrets)


def _shadow(shadow: ShadowSettings, load: Load, requests: float) -> Iterator[Line]:
    """Lines of a shadow test: a challenger that takes as long as the load's requests, and large images."""
    samples = requests * shadow.share
    event_kb = load.image_kb * BASE64
    stored = event_kb > LARGEST_EVENT_KB
    events = 1 if stored else 1 + max(0, ceil((event_kb - EVENT_KB) / FURTHER_KB))
    gb_seconds = samples * (load.duration_ms + ROUNDING_MS) / 1000 * prices.gb(shadow.memory_mib)
    for price, quantity in (
        (prices.LAMBDA_REQUESTS, samples * events),
        (prices.LAMBDA_DURATION[load.architecture], gb_seconds),
        *(((prices.S3_PUTS, samples), (prices.S3_GETS, samples)) if stored else ()),
        (prices.LAMBDA_LOGS, samples * LAMBDA_LOG_BYTES / GB),
    ):
        yield Line(replace(price, name=f"Shadow test: {price.name}"), quantity)


def _traced(monitored: Inventory, rate: float, seconds: float) -> float:
    """Return the traces of a month: a number per second, and a share of the others."""
    sampling = monitored.traces
    if sampling is None:
        return 0.0
    first = min(rate, sampling.per_second)
    return seconds * (first + sampling.rate * (rate - first))
