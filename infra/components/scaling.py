"""Application Auto Scaling of the alias's provisioned concurrency: by utilization and by schedules."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_lambda as lambda_

from infra.components.explicit import write_no_schedules
from infra.settings.scaling import ScalingSettings


def scale(alias: lambda_.Alias, settings: ScalingSettings) -> None:
    """Let the provisioned concurrency of an alias follow its load and its schedules.

    The alias must have provisioned concurrency of its own: a scalable target without any has no utilization to track.
    A fixed number needs no scaling, and gets none.
    """
    provisioned = settings.provisioned
    if provisioned is None or (provisioned.min == provisioned.max and not settings.schedules):
        return
    target = alias.add_auto_scaling(min_capacity=provisioned.min, max_capacity=provisioned.max)
    target.scale_on_utilization(utilization_target=provisioned.target_utilization)
    if not settings.schedules:
        write_no_schedules(alias)
    for each in settings.schedules:
        target.scale_on_schedule(
            each.name,
            schedule=autoscaling.Schedule.expression(each.cron),
            time_zone=cdk.TimeZone.of(each.time_zone),
            min_capacity=each.min,
            max_capacity=each.max,
        )
