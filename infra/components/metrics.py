"""Metrics that the function writes to its log as EMF, for alarms and graphs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from infra.components.dashboard import search
from infra.metric_names import (
    AUTHORIZER_FAULTS,
    CACHE_HITS,
    CACHE_MISSES,
    COLD_STARTS,
    CONFIDENCE,
    NAMESPACE,
    PREDICTIONS,
    PROBLEMS,
    REQUESTS,
    SERVER_FAULTS,
    SHADOW_AGREEMENT,
    SHADOW_DIFFERENCE,
    SHADOW_DISAGREEMENTS,
    SHADOW_DROPPED,
    SHADOW_FAILURES,
    SHADOW_LATENCY,
    SHADOW_SENT,
    SHADOW_UNREAD,
    STAGE_LATENCIES,
    SYNTHETIC_FAILURES,
    SYNTHETIC_REQUESTS,
    TOTAL_LATENCY,
    WEIGHT_FAILURES,
)

__all__ = [
    "AUTHORIZER_FAULTS",
    "CACHE_HITS",
    "CACHE_MISSES",
    "COLD_STARTS",
    "CONFIDENCE",
    "NAMESPACE",
    "PREDICTIONS",
    "PROBLEMS",
    "REQUESTS",
    "SERVER_FAULTS",
    "SHADOW_AGREEMENT",
    "SHADOW_DIFFERENCE",
    "SHADOW_DISAGREEMENTS",
    "SHADOW_DROPPED",
    "SHADOW_FAILURES",
    "SHADOW_LATENCY",
    "SHADOW_SENT",
    "SHADOW_UNREAD",
    "STAGE_LATENCIES",
    "SYNTHETIC_FAILURES",
    "SYNTHETIC_REQUESTS",
    "TOTAL_LATENCY",
    "WEIGHT_FAILURES",
    "FunctionMetrics",
    "ShadowMetrics",
    "arm_metric",
    "environment_metric",
    "version_metric",
]


class FunctionMetrics:
    """The metrics of one environment and model."""

    def __init__(self, *, environment: str, model: str) -> None:
        self._dimensions = {"Environment": environment, "Model": model}

    def metric(
        self, name: str, statistic: str = "Sum", *, period: cdk.Duration, **dimensions: str
    ) -> cloudwatch.Metric:
        """Return a metric; further dimensions by keyword (``Code="image_undecodable"``)."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=name,
            dimensions_map={**self._dimensions, **dimensions},
            statistic=statistic,
            period=period,
        )

    def search(self, name: str, *further: str, period: cdk.Duration) -> cloudwatch.MathExpression:
        """Return a metric for all values of further dimensions, which label its lines."""
        label = " ".join(f"${{PROP('Dim.{dimension}')}}" for dimension in further)
        return search(NAMESPACE, name, (*self._dimensions, *further), self._dimensions, period, label)


def arm_metric(
    name: str, statistic: str, *, environment: str, experiment: str, arm: str, period: cdk.Duration
) -> cloudwatch.Metric:
    """Return a metric of one arm of an experiment."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"Environment": environment, "Experiment": experiment, "Arm": arm},
        statistic=statistic,
        period=period,
        label=arm,
    )


def environment_metric(name: str, *, environment: str, period: cdk.Duration) -> cloudwatch.Metric:
    """Return the sum of a metric that has the dimension Environment alone."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"Environment": environment},
        statistic="Sum",
        period=period,
    )


class ShadowMetrics:
    """The metrics of one shadow test."""

    def __init__(self, *, environment: str, champion: str, challenger: str) -> None:
        self._dimensions = {"Environment": environment, "Champion": champion, "Challenger": challenger}

    def metric(self, name: str, statistic: str = "Sum", *, period: cdk.Duration) -> cloudwatch.Metric:
        """Return a metric."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=name,
            dimensions_map=self._dimensions,
            statistic=statistic,
            period=period,
        )


def version_metric(
    name: str, statistic: str = "Sum", *, environment: str, version: str, period: cdk.Duration
) -> cloudwatch.Metric:
    """Return a metric of one version of the function, over all models."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map={"Environment": environment, "FunctionVersion": version},
        statistic=statistic,
        period=period,
    )
