"""X-Ray sampling of the API's requests.

X-Ray decides once, at the first service of a request: API Gateway for a REST API, and the function follows (X-Ray
developer guide, 'Configuring sampling rules': sampling is parent-based). For direct invocations Lambda decides by
itself, one a second and 5 % of the rest, which nothing configures (Lambda developer guide, 'Visualize Lambda function
invocations using X-Ray').
"""

from __future__ import annotations

from aws_cdk import aws_xray as xray
from constructs import Construct

from infra.deployment import Deployment
from infra.settings import TraceSamplingSettings


def add_sampling_rule(
    scope: Construct, *, deployment: Deployment, stage: str, settings: TraceSamplingSettings | None
) -> None:
    """Add the sampling rule of one stage, if the settings have one; others keep the account's rules.

    Source of the service's name and type: API Gateway developer guide, 'Configure AWS X-Ray sampling rules'.
    """
    if settings is None:
        return
    xray.CfnSamplingRule(
        scope,
        "TraceSampling",
        sampling_rule=xray.CfnSamplingRule.SamplingRuleProperty(
            rule_name=deployment.name,
            priority=settings.priority,
            reservoir_size=settings.per_second,
            fixed_rate=settings.rate,
            service_name=f"{deployment.name}/{stage}",
            service_type="AWS::ApiGateway::Stage",
            host="*",
            http_method="*",
            url_path="*",
            resource_arn="*",
            version=1,
        ),
    )
