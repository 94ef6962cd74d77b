"""A composite alarm over all alarms of severity page, so that one outage sends one message."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.components.acknowledge import acknowledge

_NO_ACTIONS = (
    "The composite alarm of the deployment sends its messages, so that an outage is one message and not one for each."
)


class CompositeAlarm:
    """In alarm while any of its alarms is; created with the first of them.

    Alarms are added by components, and by apps after the endpoint is complete, so the rule grows with each.
    """

    def __init__(self, scope: Construct, *, name: str, description: str, topic: sns.ITopic) -> None:
        self._scope, self._name, self._description, self._topic = scope, name, description, topic
        self._resource: cloudwatch.CfnCompositeAlarm | None = None

    def add(self, alarm: cloudwatch.Alarm) -> None:
        """Include an alarm and disable its own messages."""
        resource = alarm.node.default_child
        assert isinstance(resource, cloudwatch.CfnAlarm)  # noqa: S101
        # Written as empty: the alarm may have had actions before.
        resource.alarm_actions, resource.ok_actions = [], []
        acknowledge(alarm, "NIST.800.53.R5-CloudWatchAlarmAction", _NO_ACTIONS)
        condition = f'ALARM("{alarm.alarm_arn}")'
        if self._resource is None:
            self._resource = cloudwatch.CfnCompositeAlarm(
                self._scope,
                "Outage",
                alarm_name=self._name,
                alarm_description=self._description,
                alarm_rule=condition,
                alarm_actions=[self._topic.topic_arn],
                ok_actions=[self._topic.topic_arn],
            )
        else:
            self._resource.alarm_rule += f" OR {condition}"
