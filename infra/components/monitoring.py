"""The alarms' topic and the dashboard, to which every component contributes its own alarms and graphs."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.components.composite_alarm import CompositeAlarm
from infra.components.dashboard import Dashboard, DashboardSection
from infra.components.data_key import allow_alarms_to_publish
from infra.deployment import Deployment
from infra.settings import AlarmSettings

Severity: TypeAlias = Literal["page", "ticket"]
# CloudWatch API reference, PutMetricAlarm and PutCompositeAlarm.
MAX_DESCRIPTION = 1024
OUTAGE = "Outage"


class Monitored(Protocol):
    """A component with alarms or graphs."""

    def monitor(self, monitoring: Monitoring) -> None:
        """Add them with `Monitoring.add_alarm` and `Monitoring.add_graphs`."""


class Monitoring(Construct):
    """Topic, alarms and dashboard of one deployment.

    Attributes
    ----------
    settings
        Thresholds of all alarms.
    period
        Of every metric, in alarms and on the dashboard.
    """

    def __init__(self, scope: Construct, id: str, *, deployment: Deployment, settings: AlarmSettings) -> None:
        super().__init__(scope, id)
        self.settings = settings
        self.period = cdk.Duration.seconds(settings.period_seconds)
        self._deployment = deployment
        self.topic = self._topic(deployment.encryption_key or self._topic_key())
        self._outage = CompositeAlarm(
            self,
            name=f"{deployment.name}-{OUTAGE}",
            description=self._describe(
                OUTAGE, "Requests fail; the reason names the alarms that are in alarm. Look each up.", "page"
            ),
            topic=self.topic,
        )
        self._alarms: list[cloudwatch.IAlarm] = []
        self._dashboard = Dashboard(
            self, name=deployment.name, environment=deployment.environment, runbook=settings.runbook
        )

    def add(self, *components: Monitored) -> None:
        """Add the alarms and graphs of components, then build the dashboard; graphs appear in this order."""
        for component in components:
            component.monitor(self)
        self._dashboard.build(self._alarms)

    def add_alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        description: str,
        *,
        severity: Severity = "ticket",
        datapoints: int | None = None,
        periods: int | None = None,
        version: str = "",
    ) -> cloudwatch.Alarm | None:
        """Add an alarm and return it; None if ``alarms.enabled`` is off.

        Its description begins with the severity and ends with the link to the heading of its name in the runbook.

        Parameters
        ----------
        threshold
            The alarm goes off at this value or above.
        description
            Read by whoever is on call: what is wrong, where to look, what to do.
        severity
            ``page``: requests fail now, act at any hour. ``ticket``: act in working hours.
        datapoints
            Of the last ``alarms.evaluation_periods``, how many must be at the threshold: 1 where a single event
            matters, by default three fifths of them.
        periods
            In place of ``alarms.evaluation_periods``.
        version
            Of the function, for an alarm that watches it alone: the end of the alarm's name. Another version is then
            another alarm. An alarm that was updated would keep its state, and the state of the old version would
            stop the release of its successor.
        """
        if not self.settings.enabled:
            return None
        periods = periods or self.settings.evaluation_periods
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._deployment.name}-{name}" + (f"-{version}" if version else ""),
            alarm_description=self._describe(name, description, severity),
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            datapoints_to_alarm=datapoints or max(1, periods * 3 // 5),
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            # A period without requests has no failures.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        self._alarms.append(alarm)
        if severity == "page" and self.settings.composite:
            self._outage.add(alarm)
        else:
            alarm.add_alarm_action(actions.SnsAction(self.topic))
            alarm.add_ok_action(actions.SnsAction(self.topic))
        return alarm

    def add_graphs(self, section: DashboardSection, *graphs: cloudwatch.IWidget) -> None:
        """Add graphs to a section of the dashboard, four in a row."""
        self._dashboard.add(section, *graphs)

    def add_row(self, *graphs: cloudwatch.IWidget) -> None:
        """Add a row of graphs below all sections, for an app with metrics of its own."""
        self._dashboard.add_row(*graphs)

    def rate(self, part: cloudwatch.IMetric, whole: cloudwatch.IMetric) -> cloudwatch.MathExpression:
        """Return a share of a count; 0 where the count is 0."""
        return cloudwatch.MathExpression(
            expression="IF(whole > 0, part / whole, 0)",
            using_metrics={"part": part, "whole": whole},
            period=self.period,
        )

    def _describe(self, name: str, description: str, severity: Severity) -> str:
        # The anchor that GitHub, GitLab and MkDocs make of a heading that is one word; alarms of a further model have
        # its name behind a hyphen, and the entry of the same alarm.
        anchor = name.partition("-")[0].lower()
        text = f"{severity}: {description} Runbook: {self.settings.runbook}#{anchor}"
        if len(text) > MAX_DESCRIPTION:
            raise ValueError(
                f"the description of {name} has {len(text)} characters, CloudWatch takes {MAX_DESCRIPTION}"
            )
        return text

    def _topic_key(self) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            description=f"{self._deployment.name}: alarm messages",
            enable_key_rotation=True,
            removal_policy=self._deployment.removal_policy,
        )
        allow_alarms_to_publish(key)
        return key

    def _topic(self, key: kms.IKey) -> sns.Topic:
        name = f"{self._deployment.name} alarms"
        topic = sns.Topic(self, "Alarms", display_name=name, master_key=key, enforce_ssl=True)
        # enforce_ssl adds a topic policy, which replaces the default policy that lets the account's alarms publish.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}},
            )
        )
        for address in self.settings.subscriptions:
            topic.add_subscription(subscriptions.EmailSubscription(address))
        return topic
