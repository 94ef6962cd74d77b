"""Alarms and graphs of the classifier, on metrics of Lambda and of the function."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_

from infra.components import metrics
from infra.components.dashboard import DashboardSection, graph, search
from infra.components.monitoring import Monitoring

# Requests of one period that met a cold start, below which a share of them says nothing.
FEWEST_COLD_STARTS = 10


def add_function_alarms(
    monitoring: Monitoring,
    *,
    function: lambda_.IFunction,
    name: str,
    timeout: cdk.Duration,
    reserved_concurrency: int | None,
) -> None:
    """Add alarms on the metrics that Lambda publishes of the function."""
    settings, period = monitoring.settings, monitoring.period
    monitoring.add_alarm(
        "FunctionErrorRate",
        monitoring.rate(function.metric_errors(period=period), function.metric_invocations(period=period)),
        settings.function_error_rate,
        "The function crashes or times out. Look for ERROR and 'Task timed out' in its log; roll the alias back.",
        severity="page",
    )
    monitoring.add_alarm(
        "FunctionThrottles",
        function.metric_throttles(period=period, statistic="Sum"),
        settings.throttles,
        "Requests are turned away: concurrency is used up. Raise function.reserved_concurrency, or the account's.",
        severity="page",
    )
    monitoring.add_alarm(
        "FunctionDurationP99",
        function.metric_duration(period=period, statistic="p99"),
        timeout.to_seconds() * 1000 * settings.duration_share_of_timeout,
        "The slowest requests come near the timeout. See the dashboard's stages; more memory is more CPU.",
    )
    if reserved_concurrency is not None:
        monitoring.add_alarm(
            "FunctionConcurrency",
            _concurrency(name, period),
            reserved_concurrency * settings.concurrency_share_of_reserve,
            "Nearly all of the reserved concurrency is in use; throttling is next. Raise the reserve.",
        )


def add_spillover_alarm(monitoring: Monitoring, alias: lambda_.Alias) -> None:
    """Add the alarm on requests beyond provisioned concurrency.

    By alias, which owns the provisioned concurrency: invocations by version number do not count.
    """
    monitoring.add_alarm(
        "ProvisionedSpillover",
        alias.metric("ProvisionedConcurrencySpilloverInvocations", statistic="Sum", period=monitoring.period),
        1,
        "Provisioned concurrency is used up and requests meet cold starts. Raise scaling.provisioned.max, or lower "
        "its target_utilization.",
    )


def add_fault_alarm(monitoring: Monitoring, own: metrics.FunctionMetrics, of_model: str = "") -> None:
    """Add the alarm on faults that the function returns, over all routes, batch items and direct invocations.

    The API's 5XXError counts neither items nor direct invocations, and Lambda's Errors only failed invocations.
    Requests are counted for the classify routes only, so that faults of another route may outnumber them.
    """
    monitoring.add_alarm(
        f"ServerFaultRate{of_model}",
        cloudwatch.MathExpression(
            expression="IF(faults > 0, faults / MAX([faults, FILL(requests, 0)]), 0)",
            using_metrics={
                "faults": own.metric(metrics.SERVER_FAULTS, period=monitoring.period),
                "requests": own.metric(metrics.REQUESTS, period=monitoring.period),
            },
            period=monitoring.period,
        ),
        monitoring.settings.server_fault_rate,
        "The function answers with its own faults (5xx), in items of batches and direct invocations too. Look for "
        "level ERROR, code and item_codes in its log; roll the alias back.",
        severity="page",
    )


def add_image_alarm(monitoring: Monitoring, own: metrics.FunctionMetrics, of_model: str = "") -> None:
    """Add the alarm on bodies that are not images, such as images that were decoded as text on the way."""
    period = monitoring.period
    monitoring.add_alarm(
        f"UndecodableImageRate{of_model}",
        cloudwatch.MathExpression(
            expression="IF(requests > 0, (FILL(undecodable, 0) + FILL(unsupported, 0)) / requests, 0)",
            using_metrics={
                "undecodable": own.metric(metrics.PROBLEMS, period=period, Code="image_undecodable"),
                "unsupported": own.metric(metrics.PROBLEMS, period=period, Code="unsupported_media_type"),
                "requests": own.metric(metrics.REQUESTS, period=period),
            },
            period=period,
        ),
        monitoring.settings.undecodable_rate,
        "Many bodies are no image (unsupported_media_type) or a damaged one (image_undecodable): a client sends "
        "other files or text, or the API no longer passes bodies on as binary.",
    )


def add_cold_start_alarm(monitoring: Monitoring, own: metrics.FunctionMetrics, of_model: str = "") -> None:
    """Add the alarm on cold starts that clients wait for; a few, as after an idle night, are none."""
    period = monitoring.period
    monitoring.add_alarm(
        f"ColdStartRate{of_model}",
        cloudwatch.MathExpression(
            expression=f"IF(cold >= {FEWEST_COLD_STARTS}, cold / requests, 0)",
            using_metrics={
                "cold": own.metric(metrics.COLD_STARTS, period=period),
                "requests": own.metric(metrics.REQUESTS, period=period),
            },
            period=period,
        ),
        monitoring.settings.cold_start_rate,
        "Many requests wait for a cold start: traffic rises faster than environments start, or they end early. See "
        "the dashboard; provision concurrency (scaling.provisioned) for load that is known.",
    )


def add_model_graphs(
    monitoring: Monitoring, own: metrics.FunctionMetrics, *, cached: bool, by_version: bool, title: str = ""
) -> None:
    """Add the graphs of the function's own metrics.

    Parameters
    ----------
    cached
        Whether there are metrics of the prediction cache.
    by_version
        Whether there are metrics by the model's version (``function.metrics.by_version``).
    title
        The model, where there are several.
    """
    period, of_model = monitoring.period, f", {title}" if title else ""
    monitoring.add_graphs(
        DashboardSection.up,
        graph(
            f"Images and faults{of_model}",
            [
                own.metric(metrics.REQUESTS, period=period).with_(label="images"),
                own.metric(metrics.SERVER_FAULTS, period=period).with_(label="faults (5xx)"),
            ],
        ),
    )
    monitoring.add_graphs(
        DashboardSection.fast,
        graph(
            f"Where the time goes{of_model}, p50 in ms",
            [
                own.metric(name, "p50", period=period).with_(label=name.removesuffix("Latency").lower())
                for name in metrics.STAGE_LATENCIES
            ],
            stacked=True,
        ),
        graph(
            f"Cold starts{of_model}", [own.metric(metrics.COLD_STARTS, period=period).with_(label="that a client met")]
        ),
        *([_cache_graph(own, period, of_model)] if cached else []),
    )
    monitoring.add_graphs(
        DashboardSection.right,
        graph(
            f"Confidence{of_model}",
            [
                own.metric(metrics.CONFIDENCE, statistic, period=period).with_(label=statistic)
                for statistic in ("p10", "p50")
            ],
        ),
        # Labels and codes are known to the function alone.
        graph(f"Images by label{of_model}", [own.search(metrics.PREDICTIONS, "Label", period=period)], stacked=True),
        graph(f"Problems by code{of_model}", [own.search(metrics.PROBLEMS, "Code", period=period)], stacked=True),
    )
    if by_version:
        versions = ("ModelVersion", "ModelVariant")
        monitoring.add_graphs(
            DashboardSection.release,
            graph(f"Images by model version{of_model}", [own.search(metrics.REQUESTS, *versions, period=period)]),
            graph(f"Faults by model version{of_model}", [own.search(metrics.SERVER_FAULTS, *versions, period=period)]),
        )


def add_function_graphs(
    monitoring: Monitoring,
    *,
    function: lambda_.IFunction,
    name: str,
    provisioned: lambda_.Alias | None,
    reserved_concurrency: int | None,
) -> None:
    """Add the graphs of Lambda's metrics: what the planner takes as input, and whether its plan holds."""
    period = monitoring.period
    monitoring.add_graphs(
        DashboardSection.up,
        graph(
            "Crashes, timeouts and throttles",
            [
                function.metric_errors(period=period, label="crashes and timeouts"),
                function.metric_throttles(period=period, label="throttles"),
            ],
        ),
    )
    monitoring.add_graphs(
        DashboardSection.fast,
        graph(
            "Duration of the function, ms",
            [
                function.metric_duration(period=period, statistic=statistic, label=label)
                for statistic, label in (("Average", "average"), ("p95", "p95"))
            ],
        ),
        graph(
            "Environments in use",
            [_concurrency(name, period).with_(label="at most")],
            limit=None if reserved_concurrency is None else (reserved_concurrency, "reserve"),
        ),
        *([] if provisioned is None else [_provisioned_graph(provisioned, period)]),
    )
    # Lambda documents them for the targets of a weighted alias ('Viewing metrics for Lambda functions').
    dimensions = ("FunctionName", "Resource", "ExecutedVersion")
    monitoring.add_graphs(
        DashboardSection.release,
        *(
            graph(
                title,
                [
                    search(
                        "AWS/Lambda",
                        metric,
                        dimensions,
                        {"FunctionName": name},
                        period,
                        "version ${PROP('Dim.ExecutedVersion')}",
                    )
                ],
            )
            for title, metric in (
                ("Requests by version, during a shift", "Invocations"),
                ("Crashes by version, during a shift", "Errors"),
            )
        ),
    )


def _cache_graph(own: metrics.FunctionMetrics, period: cdk.Duration, of_model: str) -> cloudwatch.GraphWidget:
    hits, misses = (own.metric(name, period=period) for name in (metrics.CACHE_HITS, metrics.CACHE_MISSES))
    rate = cloudwatch.MathExpression(
        expression="IF(hits + misses > 0, 100 * hits / (hits + misses))",
        using_metrics={"hits": hits, "misses": misses},
        label="hit rate, %",
        period=period,
    )
    return graph(f"Prediction cache{of_model}", [hits, misses], right=[rate])


def _concurrency(name: str, period: cdk.Duration) -> cloudwatch.Metric:
    """Return environments in use, of the function: the reserve is the function's, not its alias's."""
    return cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name="ConcurrentExecutions",
        dimensions_map={"FunctionName": name},
        statistic="Maximum",
        period=period,
    )


def _provisioned_graph(alias: lambda_.Alias, period: cdk.Duration) -> cloudwatch.GraphWidget:
    def metric(name: str, statistic: str) -> cloudwatch.Metric:
        return alias.metric(name, statistic=statistic, period=period)

    return graph(
        "Provisioned concurrency",
        [metric("ProvisionedConcurrencyUtilization", statistic) for statistic in ("Average", "Maximum")],
        right=[metric("ProvisionedConcurrencySpilloverInvocations", "Sum")],
    )
