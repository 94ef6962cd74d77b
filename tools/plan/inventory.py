"""Fixed costs of an environment, counted from its settings; a test compares them with its template."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cache

from infra.contract import Contract, read_contract
from infra.settings import Settings, ShadowSettings, TraceSamplingSettings
from infra.settings.auth import ClientPlan
from infra.sources import Sources

# Series of the function without a further dimension: Requests, ServerFaults, two totals, ColdStart, Confidence and the
# latencies of four stages.
OWN_SERIES = 10
# CacheHits and CacheMisses, of a deployment with a prediction cache.
CACHE_SERIES = 2
# Of a shadow test: sent, dropped, failures, agreement, disagreements, difference, latency.
SHADOW_SERIES = 7
# Of the version that has the traffic, in a deployment whose releases shift it: Requests, ServerFaults, TotalLatency.
# Those of a shift (the second version, synthetic traffic) exist for minutes.
RELEASE_SERIES = 3
# API Gateway developer guide, 'Amazon API Gateway dimensions and metrics': of each method, in detailed metrics.
METRICS_OF_A_METHOD = 7
# AWS's groups (reputation, known bad inputs, common rules); the rate of each address, and bodies elsewhere.
WAF_MANAGED_GROUPS, WAF_OWN_RULES = 3, 2


@dataclass(frozen=True)
class Inventory:
    """Resources billed by the month, and the tracing of requests.

    Attributes
    ----------
    custom_metrics
        At most: every problem code and, up to the setting, every label occurs.
    alarm_metrics
        CloudWatch charges for each metric that an alarm watches.
    traces
        None where tracing is off.
    shadow
        None without a shadow test.
    """

    custom_metrics: int
    alarm_metrics: int
    composite_alarms: int
    high_resolution: bool
    secrets: int
    keys: int
    waf_rules: int
    traces: TraceSamplingSettings | None
    shadow: ShadowSettings | None = None


@cache
def contract() -> Contract:
    """Read the contract of the repository."""
    return read_contract(Sources().contract)


def inventory(settings: Settings, labels: int) -> Inventory:
    """Count what an environment has, for a model with this many labels."""
    function = settings.function
    return Inventory(
        custom_metrics=_custom_metrics(settings, labels),
        alarm_metrics=_alarm_metrics(settings),
        composite_alarms=int(settings.alarms.enabled and settings.alarms.composite),
        high_resolution=settings.alarms.period_seconds < 60,
        secrets=sum(client.secret is None for client in _clients(settings).values()),
        # The stack's own key, or, with AWS's keys, that of the alarm topic.
        keys=0 if settings.protection.kms_key.startswith("arn:") else 1,
        waf_rules=_waf_rules(settings),
        traces=(function.trace_sampling or TraceSamplingSettings()) if function.tracing else None,
        shadow=settings.shadow if settings.shadow.challenger else None,
    )


def _clients(settings: Settings) -> dict[str, ClientPlan]:
    return settings.auth.plans(settings.api.rate_limit, settings.api.burst_limit)


def _custom_metrics(settings: Settings, labels: int) -> int:
    metrics = settings.function.metrics
    own = OWN_SERIES + (CACHE_SERIES if settings.cache.memory_mib else 0)
    # One for each value of `Code`. The gateway's own codes are not the function's: an upper bound.
    series = own * (2 if metrics.by_version else 1) + len(contract().problem_codes)
    if labels <= metrics.max_labels:
        series += labels
    series *= len(settings.served)
    if settings.experiment is not None:
        series += own * len(settings.experiment.arms)
        series += settings.experiment.live_weights  # WeightFailures
    series += settings.auth.jwt is not None  # AuthorizerFaults
    if settings.shadow.challenger:
        series += SHADOW_SERIES
    if settings.release.gradual:
        series += RELEASE_SERIES
    if settings.api.method_metrics:
        series += METRICS_OF_A_METHOD * _methods(settings)
    return series


def _methods(settings: Settings) -> int:
    deployed = contract().with_models(settings.served) if settings.models else contract()
    routes = deployed.routes + (deployed.job_routes if settings.bulk.enabled else ())
    heads = sum(route.method == "GET" for route in routes)
    preflights = len({route.path for route in routes}) if settings.api.cors_origins else 0
    return len(routes) + heads + preflights


def _alarm_metrics(settings: Settings) -> int:
    if not settings.alarms.enabled:
        return 0
    models = len(settings.served)
    rates = {
        "FunctionErrorRate": 2,
        "ApiErrorRate": 2,
        "ServerFaultRate": 2 * models,
        "UndecodableImageRate": 3 * models,
        "ColdStartRate": 2 * models,
    }
    single = ["FunctionThrottles", "FunctionDurationP99", "ApiLatencyP99"]
    if settings.function.reserved_concurrency is not None:
        single.append("FunctionConcurrency")
    if settings.scaling.provisioned is not None:
        single.append("ProvisionedSpillover")
    if settings.firewall.enabled:
        single.append("FirewallBlocks")
    if settings.auth.jwt is not None:
        single.append("AuthorizerFaults")
    if settings.experiment is not None and settings.experiment.live_weights:
        single.append("ExperimentWeights")
    if settings.bulk.enabled:
        rates["BulkFunctionErrorRate"] = 2
        single += ["BulkJobsFailed", "JobsFunctionErrors"]
    if settings.shadow.challenger:
        rates |= {"ShadowDisagreementRate": 2, "ShadowFailures": 3}
    if settings.release.gradual:
        rates |= {"ReleaseErrors": 4, "ReleaseFaults": 2}
        single += ["ReleaseLatency", *(["ReleaseSynthetic"] if settings.release.synthetic_traffic else [])]
    if settings.bulk.on_upload.enabled:
        single += ["ArrivalsAge", "ArrivalsDeadLetters"]
    return sum(rates.values()) + len(single)


def _waf_rules(settings: Settings) -> int:
    firewall = settings.firewall
    if not firewall.enabled:
        return 0
    sets = {
        (name, ipaddress.ip_network(network).version)
        for name in ("trusted_networks", "blocked_networks")
        for network in getattr(firewall, name)
    }
    countries = bool(firewall.allowed_countries or firewall.blocked_countries)
    return WAF_MANAGED_GROUPS + WAF_OWN_RULES + len(sets) + countries + bool(_clients(settings))
