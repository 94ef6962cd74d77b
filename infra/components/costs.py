"""Costs of requests at list prices, on the dashboard, by metric math."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_

from infra.bulk_rates import LAMBDA_GB_SECOND, LAMBDA_REQUEST, REST_API_REQUEST
from infra.components import metrics
from infra.components.container_image import ArchitectureName
from infra.components.dashboard import DashboardSection, graph
from infra.components.monitoring import Monitoring


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Lambda's duration and requests, and the API's requests, at list prices.

    Not AWS/Billing: its EstimatedCharges are of the whole account, in us-east-1 only, a few times a day, and only where
    the account has billing alerts on. What the stack really costs is in its budget (``alarms.budget``).

    Parameters
    ----------
    own
        Of the default model: what a million images cost is measured by its images.
    """

    function: lambda_.IFunction
    stage: apigateway.Stage
    own: metrics.FunctionMetrics
    memory_mib: int
    architecture: ArchitectureName

    def monitor(self, monitoring: Monitoring) -> None:
        """Add the graphs."""
        period = monitoring.period
        using: dict[str, cloudwatch.IMetric] = {
            "duration": self.function.metric_duration(period=period, statistic="Sum"),
            "invocations": self.function.metric_invocations(period=period),
            "calls": self.stage.metric_count(period=period),
        }
        parts = {
            "Lambda duration": ("duration", LAMBDA_GB_SECOND[self.architecture] * self.memory_mib / 1024 / 1000),
            "Lambda requests": ("invocations", LAMBDA_REQUEST),
            "API requests": ("calls", REST_API_REQUEST),
        }
        hours = period.to_seconds() / 3600
        bill = " + ".join(f"FILL({key}, 0) * {_decimal(price)}" for key, price in parts.values())
        monitoring.add_graphs(
            DashboardSection.cost,
            graph(
                "Estimate, US$ an hour",
                [
                    cloudwatch.MathExpression(
                        expression=f"{key} * {_decimal(price / hours)}",
                        using_metrics={key: using[key]},
                        label=label,
                        period=period,
                    )
                    for label, (key, price) in parts.items()
                ],
                stacked=True,
            ),
            graph(
                "Estimate, US$ for a million images",
                [
                    cloudwatch.MathExpression(
                        expression=f"IF(images > 0, 1000000 * ({bill}) / images, 0)",
                        using_metrics={**using, "images": self.own.metric(metrics.REQUESTS, period=period)},
                        label="US$",
                        period=period,
                    )
                ],
            ),
        )


def _decimal(number: float) -> str:
    """Return a number as metric math takes it: without an exponent."""
    return f"{number:.15f}".rstrip("0")
