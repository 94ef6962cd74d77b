"""Requests, errors, latency, cold starts and concurrency of the last hour, from CloudWatch's metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from infra.metric_names import COLD_STARTS, NAMESPACE, REQUESTS, SERVER_FAULTS, TOTAL_LATENCY
from tools.operations.stack import Stack
from tools.operations.target import Target
from tools.status.items import Item, State

SECONDS = 3600


class Metric(NamedTuple):
    """One statistic over the hour."""

    id: str
    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str


def traffic(target: Target, stack: Stack) -> Iterator[Item]:
    """Report what the API and the function counted; the API's figures include requests that it rejected itself."""
    function = target.aws.call("lambda", "get_function_configuration", FunctionName=stack.function)
    variables = (function.get("Environment") or {}).get("Variables") or {}
    models = [name for name in variables.get("LOUPE_MODELS", "").split(",") if name] or [
        variables.get("LOUPE_MODEL", "")
    ]
    values = _read(target, list(_metrics(target, stack, models)))
    count, server = values.get("count"), values.get("server", 0.0)
    if count:
        yield Item(
            "requests",
            State.ok,
            f"{count:,.0f} at the API: {server:,.0f} x 5xx ({server / count:.1%}), "
            f"{values.get('client', 0.0):,.0f} x 4xx; p50 {_ms(values, 'p50')}, p99 {_ms(values, 'p99')}",
            values={name: values.get(name) for name in ("count", "server", "client", "p50", "p99")},
        )
    for index, model in enumerate(models):
        images = values.get(f"images{index}", 0.0)
        if not images and count is None and index == 0:
            yield Item("requests", State.note, "no requests in the last hour", values={"count": 0})
            continue
        yield Item(
            "images",
            State.ok,
            f"{images:,.0f} for {model}: {values.get(f'faults{index}', 0.0):,.0f} faults, "
            f"{values.get(f'cold{index}', 0.0):,.0f} cold starts; p50 {_ms(values, f'p50_{index}')}, "
            f"p99 {_ms(values, f'p99_{index}')}",
            values={
                "model": model,
                **{
                    name: values.get(f"{key}{index}")
                    for name, key in (
                        ("images", "images"),
                        ("faults", "faults"),
                        ("cold_starts", "cold"),
                        ("p50_ms", "p50_"),
                        ("p99_ms", "p99_"),
                    )
                },
            },
        )
    yield from _concurrency(target, stack, values)


def _concurrency(target: Target, stack: Stack, values: Mapping[str, float]) -> Iterator[Item]:
    """Report the environments that were in use at most, and the reserve."""
    reserve = target.aws.call("lambda", "get_function_concurrency", FunctionName=stack.function).get(
        "ReservedConcurrentExecutions"
    )
    used, throttles, errors = (int(values.get(name, 0)) for name in ("concurrent", "throttles", "errors"))
    of = "no reserve" if reserve is None else f"a reserve of {reserve}"
    text = f"at most {used} environments in use, {of}; {throttles:,} throttles, {errors:,} crashes or timeouts"
    at_limit = reserve is not None and used >= reserve
    yield Item(
        "concurrency",
        State.note if throttles or errors or at_limit else State.ok,
        text,
        "docs/runbook.md#functionthrottles" if throttles else "",
        {"used": used, "reserve": reserve, "throttles": throttles, "errors": errors},
    )


def _metrics(target: Target, stack: Stack, models: Sequence[str]) -> Iterator[Metric]:
    # API Gateway's metrics know the API by its name.
    stages = stack.physical("AWS::ApiGateway::Stage")
    if stages:
        api = {"ApiName": f"loupe-{target.environment}", "Stage": stages[0]}
        for key, name, statistic in (
            ("count", "Count", "SampleCount"),
            ("client", "4XXError", "Sum"),
            ("server", "5XXError", "Sum"),
            ("p50", "Latency", "p50"),
            ("p99", "Latency", "p99"),
        ):
            yield Metric(key, "AWS/ApiGateway", name, api, statistic)
    function = {"FunctionName": stack.function}
    for key, name, statistic in (
        ("errors", "Errors", "Sum"),
        ("throttles", "Throttles", "Sum"),
        ("concurrent", "ConcurrentExecutions", "Maximum"),
    ):
        yield Metric(key, "AWS/Lambda", name, function, statistic)
    for index, model in enumerate(models):
        own = {"Environment": target.environment, "Model": model}
        for key, name, statistic in (
            (f"images{index}", REQUESTS, "Sum"),
            (f"faults{index}", SERVER_FAULTS, "Sum"),
            (f"cold{index}", COLD_STARTS, "Sum"),
            (f"p50_{index}", TOTAL_LATENCY, "p50"),
            (f"p99_{index}", TOTAL_LATENCY, "p99"),
        ):
            yield Metric(key, NAMESPACE, name, own, statistic)


def _read(target: Target, metrics: Sequence[Metric]) -> dict[str, float]:
    """Return the values by id; metrics without data are left out."""
    now = datetime.now(UTC)
    statistics = {metric.id: metric.statistic for metric in metrics}
    queries = [
        {
            "Id": metric.id,
            "MetricStat": {
                "Metric": {
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
                },
                "Period": SECONDS,
                "Stat": metric.statistic,
            },
        }
        for metric in metrics
    ]
    values: dict[str, float] = {}
    results = target.aws.pages(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        MetricDataQueries=queries,
        StartTime=now - timedelta(seconds=SECONDS),
        EndTime=now,
    )
    for item in results:
        # Periods begin at full hours, so the last hour may be in two. Percentiles cannot be combined: the higher.
        combine = sum if statistics[item["Id"]] in ("Sum", "SampleCount") else max
        if points := [float(value) for value in item["Values"]]:
            earlier = [values[item["Id"]]] if item["Id"] in values else []
            values[item["Id"]] = combine([*earlier, *points])
    return values


def _ms(values: Mapping[str, float], name: str) -> str:
    return f"{values[name]:,.0f} ms" if name in values else "unknown"
