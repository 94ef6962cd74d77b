"""Metrics that the function writes to its log as EMF; a test compares the names with those that it emits."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

NAMESPACE = "Loupe"
REQUESTS = "Requests"
PROBLEMS = "Problems"
PREDICTIONS = "Predictions"
CONFIDENCE = "Confidence"
COLD_STARTS = "ColdStart"
# Over all routes and triggers: 5xx except deadline_exceeded, by request or batch item; 0 for a request without any.
SERVER_FAULTS = "ServerFaults"
# Of the JWT authorizer, with the dimension Environment alone.
AUTHORIZER_FAULTS = "AuthorizerFaults"
# Of deployments with a prediction cache alone.
CACHE_HITS, CACHE_MISSES = "CacheHits", "CacheMisses"
STAGE_LATENCIES = ("SourceLatency", "DecodeLatency", "TensorLatency", "ModelLatency")


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
