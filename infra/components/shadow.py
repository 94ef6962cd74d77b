"""Shadow test: the challenger's function, what the classifier may send it, alarms and dashboard graphs."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.allocator import ALLOCATOR
from infra.cards import ModelCard
from infra.challenger import takes_same_pixels
from infra.components import metrics
from infra.components.classifier_function import MAX_VARIABLES_BYTES, OTHER_VARIABLES_BYTES, ClassifierFunction
from infra.components.container_function import ContainerFunction
from infra.components.dashboard import DashboardSection, graph
from infra.components.monitoring import Monitoring
from infra.components.shadow_bucket import SampleBucket
from infra.deployment import Deployment
from infra.settings import SettingsError, ShadowSettings

ALIAS = "live"
# A cold start, reading a large image and running a slow model; no client waits for it.
TIMEOUT_SECONDS = 60
# A sample that had no environment for so long is not compared: a backlog would be about past traffic.
MAX_AGE = cdk.Duration.minutes(5)
# Comparisons of one period below which a share of them says nothing.
FEWEST_COMPARISONS = 10
# Period of the alarm on disagreements, seconds: a sample of ordinary traffic is too small in a minute.
COMPARISONS_SECONDS = 300
# What the classifier function gets: four names, an ARN and a bucket's name.
SHADOW_VARIABLES_BYTES = 360
# The shadow function's, of the classifier's.
_SHARED = ("LOUPE_ENVIRONMENT", "LOUPE_MAX_IMAGE_BYTES", "LOUPE_MAX_IMAGE_PIXELS", "LOUPE_FORMATS")
NO_DEAD_LETTERS = (
    "A lost event is a missing comparison, counted by AsyncEventsDropped, and no request is lost. A queue would keep "
    "copies of images for longer than the test needs them."
)


class Shadow(Construct):
    """A challenger beside the classifier, with a sample of its images.

    Parameters
    ----------
    classifier
        Gets the permission and the variables to send samples; its image holds the challenger.

    Raises
    ------
    SettingsError
        If the classifier's variables would be larger than Lambda allows.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        settings: ShadowSettings,
        champion: ModelCard,
        challenger: ModelCard,
        classifier: ClassifierFunction,
    ) -> None:
        super().__init__(scope, id)
        _check_variables(classifier.own_variables)
        self._settings = settings
        self._metrics = metrics.ShadowMetrics(
            environment=deployment.environment, champion=champion.name, challenger=challenger.name
        )
        # Of events that the shadow function cannot read, which name no champion.
        self._unread = metrics.ShadowMetrics(
            environment=deployment.environment, champion=metrics.SHADOW_UNREAD, challenger=challenger.name
        )
        self.container = ContainerFunction(
            self,
            "Default",
            deployment=deployment,
            name=f"{deployment.name}-shadow",
            description=f"Compares {challenger.name} with {champion.name}",
            image=classifier.image,
            command="shadow.handler",
            memory_mib=settings.memory_mib,
            timeout=cdk.Duration.seconds(TIMEOUT_SECONDS),
            environment={
                **ALLOCATOR,
                **{name: classifier.variables[name] for name in _SHARED},
                "LOUPE_MODEL": challenger.name,
            },
            reserved_concurrency=settings.reserved_concurrency,
            no_dead_letter_queue=NO_DEAD_LETTERS,
        )
        self.function = self.container.function
        bucket = ""
        if not takes_same_pixels(champion, challenger):
            samples = SampleBucket(
                self, "Samples", deployment=deployment, writer=classifier.role, reader=self.container.role
            )
            bucket = samples.bucket.bucket_name
            self.function.add_environment("LOUPE_SHADOW_BUCKET", bucket)
        alias = self.container.add_alias(ALIAS, description="What the classifier function sends samples to")
        # A repeated comparison would count twice, and a challenger that failed fails again.
        alias.configure_async_invoke(max_event_age=MAX_AGE, retry_attempts=0)
        classifier.role.add_to_principal_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[alias.function_arn])
        )
        for name, value in {
            "LOUPE_SHADOW_FUNCTION_ARN": alias.function_arn,
            "LOUPE_SHADOW_CHALLENGER": challenger.name,
            "LOUPE_SHADOW_SHARE": f"{settings.share:.4f}",
            "LOUPE_SHADOW_BUCKET": bucket,
        }.items():
            if value:
                classifier.function.add_environment(name, value)

    def monitor(self, monitoring: Monitoring) -> None:
        """Add alarms and dashboard graphs."""
        own, period = self._metrics, monitoring.period
        # Whole minutes, or the local cloud's seconds.
        longer = period if period.to_seconds() < 60 else cdk.Duration.seconds(COMPARISONS_SECONDS)
        monitoring.add_alarm(
            "ShadowDisagreementRate",
            cloudwatch.MathExpression(
                expression=f"IF(agree + differ >= {FEWEST_COMPARISONS}, differ / (agree + differ), 0)",
                using_metrics={
                    "agree": own.metric(metrics.SHADOW_AGREEMENT, period=longer),
                    "differ": own.metric(metrics.SHADOW_DISAGREEMENTS, period=longer),
                },
                period=longer,
            ),
            self._settings.disagreement_rate,
            "The challenger gives other labels than the model that serves, whose answers are unchanged. See the "
            "dashboard's difference and the comparisons in the shadow function's log before it is released.",
        )
        monitoring.add_alarm(
            "ShadowFailures",
            cloudwatch.MathExpression(
                expression="FILL(failures, 0) + FILL(unread, 0) + FILL(errors, 0)",
                using_metrics={
                    "failures": own.metric(metrics.SHADOW_FAILURES, period=period),
                    "unread": self._unread.metric(metrics.SHADOW_FAILURES, period=period),
                    "errors": self.function.metric_errors(period=period),
                },
                period=period,
            ),
            1,
            "The challenger fails on samples, or its function does not start; requests are not affected. Look for "
            "ERROR and its code in the shadow function's log.",
        )
        monitoring.add_graphs(
            DashboardSection.release,
            graph(
                "Shadow test: agreement",
                [own.metric(name, period=period) for name in (metrics.SHADOW_AGREEMENT, metrics.SHADOW_DISAGREEMENTS)],
                right=[own.metric(metrics.SHADOW_AGREEMENT, "Average", period=period)],
            ),
            graph(
                "Shadow test: largest probability difference",
                [own.metric(metrics.SHADOW_DIFFERENCE, statistic, period=period) for statistic in ("p50", "p95")],
            ),
            graph(
                "Shadow test: samples",
                [
                    own.metric(name, period=period)
                    for name in (metrics.SHADOW_SENT, metrics.SHADOW_DROPPED, metrics.SHADOW_FAILURES)
                ],
                right=[self.function.metric("AsyncEventsDropped", statistic="Sum", period=period)],
            ),
            graph(
                "Shadow test: challenger",
                [own.metric(metrics.SHADOW_LATENCY, statistic, period=period) for statistic in ("p50", "p95")],
                right=[self.function.metric_throttles(period=period), self.function.metric_errors(period=period)],
            ),
        )


def _check_variables(variables: Mapping[str, str]) -> None:
    present = sum(len(name) + len(value.encode()) for name, value in {**ALLOCATOR, **variables}.items())
    needed = present + OTHER_VARIABLES_BYTES + SHADOW_VARIABLES_BYTES
    if needed > MAX_VARIABLES_BYTES:
        raise SettingsError(
            f"With shadow.challenger the function's variables may have {needed} bytes, and Lambda takes "
            f"{MAX_VARIABLES_BYTES}: shorten inputs.url.hosts, inputs.s3.locations, api.cors_origins or the "
            "names in experiment.arms."
        )
