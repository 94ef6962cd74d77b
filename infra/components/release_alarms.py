"""Alarms that stop a release. They watch one version: the old one, with most of the traffic, does not dilute them.

Lambda publishes metrics by ``ExecutedVersion`` for invocations by alias, and by ``Resource`` for invocations by version
number, which synthetic traffic makes. Both count.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from infra.components import metrics
from infra.components.dashboard import DashboardSection, graph
from infra.components.monitoring import Monitoring
from infra.settings.release import ALARM_PERIODS, ReleaseSettings

# Failures of a period, below which a share of them says nothing: one lost request is no bad release.
FEWEST_FAILURES = 2
# Longest period of an alarm, which looks at ALARM_PERIODS of them.
_PERIOD_SECONDS = 60


def add_release_alarms(
    monitoring: Monitoring,
    *,
    settings: ReleaseSettings,
    environment: str,
    function: str,
    alias: str,
    version: str,
) -> list[cloudwatch.Alarm]:
    """Add the alarms on a version and return them: at most four, and none if ``alarms.enabled`` is off."""
    period = cdk.Duration.seconds(min(_PERIOD_SECONDS, monitoring.settings.period_seconds))

    def own(name: str, statistic: str = "Sum") -> cloudwatch.Metric:
        return metrics.version_metric(name, statistic, environment=environment, version=version, period=period)

    def of_lambda(name: str, **dimensions: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/Lambda",
            metric_name=name,
            dimensions_map={"FunctionName": function, **dimensions},
            statistic="Sum",
            period=period,
        )

    by_alias = {"Resource": f"{function}:{alias}", "ExecutedVersion": version}
    by_number = {"Resource": f"{function}:{version}"}
    failed = "(FILL(aliaserrors, 0) + FILL(numbererrors, 0))"
    calls = "(FILL(aliascalls, 0) + FILL(numbercalls, 0))"
    alarms = [
        monitoring.add_alarm(
            "ReleaseErrors",
            cloudwatch.MathExpression(
                expression=f"IF({failed} >= {FEWEST_FAILURES}, {failed} / {calls}, 0)",
                using_metrics={
                    "aliaserrors": of_lambda("Errors", **by_alias),
                    "numbererrors": of_lambda("Errors", **by_number),
                    "aliascalls": of_lambda("Invocations", **by_alias),
                    "numbercalls": of_lambda("Invocations", **by_number),
                },
                period=period,
            ),
            settings.error_rate,
            "The version that is named at the end crashes or times out. During a release CodeDeploy rolls it back; "
            "afterwards, roll back by hand.",
            datapoints=1,
            periods=ALARM_PERIODS,
            version=version,
        ),
        monitoring.add_alarm(
            "ReleaseFaults",
            cloudwatch.MathExpression(
                expression=f"IF(faults >= {FEWEST_FAILURES}, faults / MAX([faults, FILL(requests, 0)]), 0)",
                using_metrics={"faults": own(metrics.SERVER_FAULTS), "requests": own(metrics.REQUESTS)},
                period=period,
            ),
            settings.error_rate,
            "The version that is named at the end answers with its own faults (5xx). During a release CodeDeploy rolls "
            "it back; afterwards, roll back by hand.",
            datapoints=1,
            periods=ALARM_PERIODS,
            version=version,
        ),
        monitoring.add_alarm(
            "ReleaseLatency",
            own(metrics.TOTAL_LATENCY, "p90"),
            settings.max_latency_ms,
            "The version that is named at the end is slower than release.max_latency_ms. During a release CodeDeploy "
            "rolls it back.",
            datapoints=2,
            periods=ALARM_PERIODS,
            version=version,
        ),
    ]
    if settings.synthetic_traffic:
        alarms.append(
            monitoring.add_alarm(
                "ReleaseSynthetic",
                own(metrics.SYNTHETIC_FAILURES),
                1,
                "The version that is named at the end answers golden cases wrongly while the alias shifts to it. "
                "CodeDeploy rolls it back; the log of the function synthetic-traffic names the cases.",
                datapoints=1,
                periods=ALARM_PERIODS,
                version=version,
            )
        )
    return [alarm for alarm in alarms if alarm is not None]


def add_release_graphs(monitoring: Monitoring, *, environment: str, version: str) -> None:
    """Add graphs of the newest version: what it gets, how fast it is, how often it fails."""
    period = monitoring.period

    def own(name: str, statistic: str = "Sum") -> cloudwatch.Metric:
        return metrics.version_metric(name, statistic, environment=environment, version=version, period=period)

    monitoring.add_graphs(
        DashboardSection.release,
        graph("Newest version: requests", [own(metrics.REQUESTS), own(metrics.SYNTHETIC_REQUESTS)]),
        graph("Newest version: failures", [own(metrics.SERVER_FAULTS), own(metrics.SYNTHETIC_FAILURES)]),
        graph("Newest version: latency", [own(metrics.TOTAL_LATENCY, statistic) for statistic in ("p50", "p90")]),
    )
