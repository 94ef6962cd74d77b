"""Application Auto Scaling of the alias's provisioned concurrency: by utilization and by schedules."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_lambda as lambda_

from infra.components.explicit import write_no_schedules
from infra.settings.scaling import ScalingSettings


def scale(alias: lambda_.Alias, settings: ScalingSettings) -> None:
    """Scale the provisioned concurrency of an alias by utilization and schedules.

    The alias must already have provisioned concurrency: without it there is no utilization to track. A fixed number
    is not scaled.
    """
    provisioned = settings.provisioned
    if provisioned is None or (provisioned.min == provisioned.max and not settings.schedules):
        return
    target = alias.add_auto_scaling(min_capacity=provisioned.min, max_capacity=provisioned.max)
    target.scale_on_utilization(utilization_target=provisioned.target_utilization)
    if not settings.schedules:
        write_no_schedules(alias)
    for schedule in settings.schedules:
        target.scale_on_schedule(
            schedule.name,
            schedule=autoscaling.Schedule.expression(schedule.cron),
            time_zone=cdk.TimeZone.of(schedule.time_zone),
            min_capacity=schedule.min,
            max_capacity=schedule.max,
        )
