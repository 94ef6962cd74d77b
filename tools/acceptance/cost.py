"""Upper bound of an acceptance's costs, before anything is deployed: requests and hourly charges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools import prices
from tools.acceptance.target import AcceptanceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.acceptance.suite import Context

# Upper bounds of a run: the clients' quotas hold the first, AWS charges the others by the hour.
REQUESTS = 20_000
HOURS = 3.0
_SECONDS_A_REQUEST, _MEMORY_MIB = 1.0, 3008
# US dollars a month, list prices (see tools/prices.py for their date): AWS WAF, KMS, Secrets Manager, CloudWatch.
_WAF_RULES, _KEYS, _SECRETS, _ALARMS, _METRICS = 10, 1, 2, 33, 70
_KEY_USD, _SECRET_USD, _ALARM_USD, _METRIC_USD = 1.00, 0.40, 0.10, 0.30
# The container image in ECR, 0.3 GB at 0.10 a GB and month, and what CloudWatch Logs takes of the run.
_STORED_USD = 0.05


@dataclass(frozen=True)
class Line:
    """One line of the estimate."""

    name: str
    dollars: float


def estimate() -> list[Line]:
    """Return the upper bound of a run's costs in US dollars, line by line."""
    return list(_lines())


def check(context: Context) -> str:
    """Hold the estimate against the cap."""
    total = sum(line.dollars for line in estimate())
    if total > context.max_usd:
        raise AcceptanceError(
            f"this run may cost US$ {total:.2f}, above the cap of US$ {context.max_usd:.2f}: raise --max-usd"
        )
    return f"at most US$ {total:.2f} for {REQUESTS:,} requests within {HOURS:g} hours (cap: US$ {context.max_usd:.2f})"


def _lines() -> Iterator[Line]:
    share = HOURS * 3600 / prices.SECONDS_A_MONTH
    gb_seconds = REQUESTS * _SECONDS_A_REQUEST * prices.gb(_MEMORY_MIB)
    yield Line("Lambda duration", prices.LAMBDA_DURATION["x86_64"].cost(gb_seconds))
    yield Line("Lambda requests", prices.LAMBDA_REQUESTS.cost(REQUESTS))
    yield Line("API Gateway requests", prices.REST_API_REQUESTS.cost(REQUESTS))
    yield Line("WAF", share * (prices.WAF_WEB_ACL.cost(1) + prices.WAF_RULES.cost(_WAF_RULES)))
    yield Line("WAF requests", prices.WAF_REQUESTS.cost(REQUESTS))
    yield Line("keys and secrets", share * (_KEYS * _KEY_USD + _SECRETS * _SECRET_USD))
    yield Line("alarms and metrics", share * (_ALARMS * _ALARM_USD + _METRICS * _METRIC_USD))
    yield Line("image and logs", _STORED_USD)
