"""Size a deployment for a load: environments, reserve, provisioned concurrency, throttles, and obstacles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from tools.plan.queueing import erlang_b, offered_load, poisson_quantile, servers_for
from tools.prices import LAMBDA_DURATION, LAMBDA_REQUESTS, Architecture, gb

# Lambda developer guide, 'Lambda quotas'.
REQUESTS_A_SECOND_OF_AN_ENVIRONMENT = 10
ACCOUNT_CONCURRENCY = 1_000
LEFT_UNRESERVED = 100
SYNC_PAYLOAD_KB = 6 * 1024
# API Gateway developer guide, 'Amazon API Gateway quotas'. 2,500 and 1,250 in some regions.
API_RATE, API_BURST = 10_000, 5_000
# A body of images reaches Lambda as base64: 4 bytes for 3.
BASE64 = 4 / 3
# Room above the peak before the stage throttles.
HEADROOM = 1.25
LOWEST_TARGET = 0.1
# The smallest that a synth accepts without CORS: `infra.throttles` keeps a quarter for callers with credentials.
MIN_RESERVE = 8


@dataclass(frozen=True)
class Load:
    """The load on the endpoint, and the cost of one request.

    Attributes
    ----------
    rate
        Requests a second, on average over the hours that have load.
    duration_ms
        Mean duration of a warm request. Of its distribution, nothing else counts.
    slow_ms
        A high quantile of the duration, for the question what happens if every request were as slow.
    overflow
        Share of requests at the peak that may be rejected because all environments are busy.
    spill
        Share of requests that may spill over to environments on demand. 0.01 keeps the 99th percentile warm.
    environments
        A fixed number of environments, to compute the requests that it rejects.
    """

    rate: float
    duration_ms: float
    memory_mib: int
    slow_ms: float | None = None
    architecture: Architecture = "x86_64"
    cold_start_ms: float = 1000.0
    peak_factor: float = 2.0
    overflow: float = 0.001
    spill: float = 0.01
    target_utilization: float = 0.7
    hours_a_day: float = 24.0
    image_kb: float = 500.0
    environments: int | None = None

    @property
    def peak_rate(self) -> float:
        return self.rate * self.peak_factor


@dataclass(frozen=True)
class Provisioned:
    """Provisioned environments. Without a target their number is fixed: ``least`` is ``most``."""

    least: int
    most: int
    target: float | None
    spill_on_average: float
    spill_at_peak: float


@dataclass(frozen=True)
class Sizing:
    """Resources that a load needs.

    Attributes
    ----------
    mean, peak
        Concurrency in erlangs, on average and at the peak.
    quantiles
        Environments in use at the peak that are not exceeded for these shares of the time.
    for_rate
        Environments that the peak's rate alone needs, at 10 requests a second each.
    after_deployment
        Environments in use when requests at the average rate meet nothing but cold starts.
    slow
        Quantile at the peak if every request took ``slow_ms``.
    reserved, reserved_provisioned
        ``function.reserved_concurrency`` on demand and with provisioned concurrency, which spares the cold herd.
    """

    mean: float
    peak: float
    quantiles: dict[float, int]
    for_rate: int
    after_deployment: int
    slow: int | None
    reserved: int
    reserved_provisioned: int
    rejected: float
    provisioned: Provisioned
    rate_limit: int
    burst_limit: int
    warnings: tuple[str, ...]


def size(load: Load) -> Sizing:
    """Return the resources that the load needs."""
    mean, peak = (offered_load(rate, load.duration_ms) for rate in (load.rate, load.peak_rate))
    warm = servers_for(peak, load.overflow)
    for_rate = _for_rate(load.peak_rate, load.overflow)
    cold = offered_load(load.rate, load.cold_start_ms + load.duration_ms)
    after_deployment = poisson_quantile(cold, 1 - load.overflow)
    slow = None
    if load.slow_ms is not None:
        slow = servers_for(offered_load(load.peak_rate, load.slow_ms), load.overflow)
    provisioned = _provisioned(load, mean, peak)
    at_least = max(warm, for_rate, slow or 0, MIN_RESERVE)
    reserved = max(at_least, after_deployment)
    sizing = Sizing(
        mean=mean,
        peak=peak,
        quantiles={share: poisson_quantile(peak, share) for share in (0.5, 0.95, 0.99, 0.999)},
        for_rate=for_rate,
        after_deployment=after_deployment,
        slow=slow,
        reserved=reserved,
        reserved_provisioned=max(at_least, provisioned.most),
        rejected=erlang_b(reserved, peak),
        provisioned=provisioned,
        rate_limit=min(API_RATE, ceil(load.peak_rate * HEADROOM)),
        burst_limit=min(API_BURST, max(1, poisson_quantile(load.peak_rate, 1 - load.overflow))),
        warnings=(),
    )
    return Sizing(**{**sizing.__dict__, "warnings": tuple(_warnings(load, sizing))})


def rejected(load: Load, environments: int) -> tuple[float, float]:
    """Return the shares of requests that this number of environments rejects, on average and at the peak.

    Either all are busy, or what they may serve a second is used up: the larger share of the two.
    """
    limit = environments * REQUESTS_A_SECOND_OF_AN_ENVIRONMENT
    shares = [
        max(erlang_b(environments, offered_load(rate, load.duration_ms)), 1 - limit / max(rate, limit))
        for rate in (load.rate, load.peak_rate)
    ]
    return shares[0], shares[1]


def _for_rate(rate: float, share: float) -> int:
    """Return the environments for the arrivals of all but this share of the seconds."""
    return ceil(poisson_quantile(rate, 1 - share) / REQUESTS_A_SECOND_OF_AN_ENVIRONMENT)


def _provisioned(load: Load, mean: float, peak: float) -> Provisioned:
    least, most = (
        max(servers_for(erlangs, load.spill), _for_rate(rate, load.spill), ceil(erlangs / load.target_utilization))
        for erlangs, rate in ((mean, load.rate), (peak, load.peak_rate))
    )
    # An environment that serves its 10 requests a second is in use for no more than this share of the time.
    busiest = min(1.0, REQUESTS_A_SECOND_OF_AN_ENVIRONMENT * load.duration_ms / 1000)
    target = round(load.target_utilization * busiest, 2)
    if target < LOWEST_TARGET or least == most:
        return Provisioned(most, most, None, erlang_b(most, mean), erlang_b(most, peak))
    return Provisioned(least, most, target, erlang_b(least, mean), erlang_b(most, peak))


def _warnings(load: Load, sizing: Sizing) -> Iterator[str]:
    reservable = ACCOUNT_CONCURRENCY - LEFT_UNRESERVED
    if sizing.reserved > reservable:
        yield (
            f"A reserve of {sizing.reserved} is above the {reservable} that an account of {ACCOUNT_CONCURRENCY} can "
            "reserve: ask for a higher quota of concurrent executions."
        )
    if sizing.after_deployment > max(sizing.reserved_provisioned, 1) * 2:
        yield (
            "After a deployment all requests meet cold starts at once, and the reserve must hold them. Provisioned "
            "concurrency spares that: the alias moves when the new environments are ready."
        )
    if load.peak_rate * HEADROOM > API_RATE:
        yield f"API Gateway takes {API_RATE:,} requests a second of an account and region: ask for a higher quota."
    elif load.peak_rate * HEADROOM > 2_500:
        yield "Some regions let only 2,500 requests a second through API Gateway: look at the quota of yours."
    if sizing.provisioned.target is None and sizing.provisioned.most > 1:
        yield (
            f"Requests of {load.duration_ms:g} ms reach an environment's 10 requests a second while it is mostly idle. "
            "Target tracking sees only how busy it is, so the provisioned number is fixed; change it by schedules."
        )
    if load.image_kb * BASE64 > SYNC_PAYLOAD_KB:
        yield (
            f"An image of {load.image_kb:g} KB is {load.image_kb * BASE64 / 1024:.1f} MB as base64, above the "
            "6 MB of a synchronous call (API Gateway takes 10 MB): such images go by POST /v1/uploads."
        )


def settings(load: Load, sizing: Sizing, *, provisioned: bool, clients: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings for an environment of ``cdk.json``.

    Parameters
    ----------
    clients
        Clients with API keys: each may use the whole rate, and the stage throttles their sum.
    """
    values: dict[str, Any] = {
        "function": {
            "memory_mib": load.memory_mib,
            "architecture": load.architecture,
            "reserved_concurrency": sizing.reserved_provisioned if provisioned else sizing.reserved,
        },
        "api": {"rate_limit": sizing.rate_limit, "burst_limit": sizing.burst_limit},
    }
    if clients:
        limits = {"rate": sizing.rate_limit, "burst": sizing.burst_limit}
        values["auth"] = {"clients": {name: dict(limits) for name in clients}}
    if provisioned:
        bounds = sizing.provisioned
        values["scaling"] = {
            "provisioned": {
                "min": bounds.least,
                "max": bounds.most,
                **({} if bounds.target is None else {"target_utilization": bounds.target}),
            }
        }
    return values


def million(memory_mib: int, duration_ms: float, architecture: Architecture) -> float:
    """Return what a million requests cost at Lambda, on demand, in US dollars."""
    seconds = 1e6 * (duration_ms + ROUNDING_MS) / 1000
    return LAMBDA_REQUESTS.first * 1e6 + LAMBDA_DURATION[architecture].first * seconds * gb(memory_mib)


# Lambda charges whole milliseconds, rounded up: half of one on average.
ROUNDING_MS = 0.5


def cheapest_memory(measured: dict[int, float], architecture: Architecture, limit_ms: float | None) -> int:
    """Return the memory whose requests cost least, of those that are within the limit.

    Raises
    ------
    ValueError
        If none is.
    """
    within = {memory: ms for memory, ms in measured.items() if limit_ms is None or ms <= limit_ms}
    if not within:
        best = min(measured.values())
        raise ValueError(f"no memory that was measured is within {limit_ms:g} ms; the fastest takes {best:g} ms")
    return min(within, key=lambda memory: (million(memory, within[memory], architecture), memory))
