"""Properties that the CDK omits when a setting is off: CloudFormation may keep the last value of an omitted property.

Each function writes the value that stands for "off". `tests/variants/test_transitions.py` compares settings pairwise
and finds properties that disappear.
"""

from __future__ import annotations

from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import IConstruct

# The key of secrets that name none (Secrets Manager user guide, 'Secret encryption').
SECRETS_MANAGER_KEY = "alias/aws/secretsmanager"


def write_tracing(function: lambda_.Function) -> None:
    """Write ``PassThrough``, Lambda's default, if tracing is off."""
    resource = function.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)  # noqa: S101
    if resource.tracing_config is None:
        resource.tracing_config = lambda_.CfnFunction.TracingConfigProperty(mode="PassThrough")


def write_snap_start(function: lambda_.Function, *, enabled: bool) -> None:
    """Write whether published versions start from a snapshot; ``None`` is Lambda's default."""
    resource = function.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)  # noqa: S101
    resource.snap_start = lambda_.CfnFunction.SnapStartProperty(apply_on="PublishedVersions" if enabled else "None")


def write_key(secret: secretsmanager.Secret) -> None:
    """Write the AWS-managed key if the secret has no other."""
    resource = secret.node.default_child
    assert isinstance(resource, secretsmanager.CfnSecret)  # noqa: S101
    if resource.kms_key_id is None:
        resource.kms_key_id = SECRETS_MANAGER_KEY


def write_no_schedules(target: IConstruct) -> None:
    """Write the empty list of scheduled actions of a scalable target."""
    (resource,) = (child for child in target.node.find_all() if isinstance(child, autoscaling.CfnScalableTarget))
    resource.add_property_override("ScheduledActions", [])
