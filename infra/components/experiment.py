"""An experiment's variables of the function, the parameter of its weights, and dashboard graphs by arm."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.components import metrics
from infra.components.dashboard import DashboardSection, graph
from infra.components.monitoring import Monitoring
from infra.deployment import Deployment
from infra.experiment_weights import parameter_name
from infra.settings import ExperimentSettings


def variables(settings: ExperimentSettings, environment: str) -> dict[str, str]:
    """Return the environment variables of an experiment; `loupe.experiment_settings` parses them."""
    values = {
        "LOUPE_EXPERIMENT": settings.name,
        "LOUPE_EXPERIMENT_ARMS": ",".join(f"{arm.name}={arm.model}:{arm.weight}" for arm in settings.arms),
        "LOUPE_EXPERIMENT_KEY": settings.key,
        "LOUPE_EXPERIMENT_HEADER": (settings.header or "").lower(),
        "LOUPE_EXPERIMENT_OVERRIDE": "true" if settings.override else "",
    }
    if settings.live_weights:
        values["LOUPE_EXPERIMENT_PARAMETER"] = parameter_name(environment)
        values["LOUPE_EXPERIMENT_REFRESH_SECONDS"] = str(settings.refresh_seconds)
    return {name: value for name, value in values.items() if value}


class Experiment(Construct):
    """The weights' parameter, if they change without a deployment, and the monitoring of the arms.

    Attributes
    ----------
    outputs
        Of the stack: value and description by name.
    """

    def __init__(
        self, scope: Construct, id: str, *, deployment: Deployment, settings: ExperimentSettings, role: iam.Role
    ) -> None:
        super().__init__(scope, id)
        self._environment, self._settings = deployment.environment, settings
        self.outputs: dict[str, tuple[str, str | None]] = {}
        if settings.live_weights:
            # A String, not a SecureString: weights are no secret, and each read would also call KMS.
            parameter = ssm.CfnParameter(
                self,
                "Weights",
                name=parameter_name(deployment.environment),
                type="String",
                tier="Standard",
                description=f"{deployment.name}: weights of the experiment, which tools.experiment changes",
                value=json.dumps({arm.name: arm.weight for arm in settings.arms}),
            )
            # Not grant_read, which also allows the parameter's history and a description of all parameters.
            role.add_to_policy(
                iam.PolicyStatement(
                    actions=["ssm:GetParameter"],
                    resources=[
                        cdk.Stack.of(self).format_arn(
                            service="ssm", resource=f"parameter{parameter_name(deployment.environment)}"
                        )
                    ],
                )
            )
            self.outputs["ExperimentWeights"] = (
                parameter.ref,
                f"python -m tools.experiment set-weights {deployment.environment} "
                + " ".join(f"{arm.name}={arm.weight}" for arm in settings.arms),
            )

    def monitor(self, monitoring: Monitoring) -> None:
        """Add the row of the arms, and the alarm on weights that cannot be read."""
        period, settings = monitoring.period, self._settings

        def by_arm(name: str, statistic: str = "Sum") -> list[cloudwatch.IMetric]:
            return [
                metrics.arm_metric(
                    name,
                    statistic,
                    environment=self._environment,
                    experiment=settings.name,
                    arm=arm.name,
                    period=period,
                )
                for arm in settings.arms
            ]

        title = f"experiment {settings.name}"
        monitoring.add_graphs(
            DashboardSection.release,
            graph(f"Requests, {title}", by_arm(metrics.REQUESTS)),
            graph(f"Server faults, {title}", by_arm(metrics.SERVER_FAULTS)),
            graph(f"Latency (p50), {title}", by_arm(metrics.TOTAL_LATENCY, "p50")),
            graph(f"Confidence (p50), {title}", by_arm(metrics.CONFIDENCE, "p50")),
        )
        if settings.live_weights:
            # An execution environment reads, and so fails, once in 1 to 1.2 times refresh_seconds.
            longer = cdk.Duration.minutes(-(-settings.refresh_seconds * 6 // 5 // 60))
            between = longer if longer.to_seconds() > period.to_seconds() else period
            monitoring.add_alarm(
                "ExperimentWeights",
                metrics.environment_metric(metrics.WEIGHT_FAILURES, environment=self._environment, period=between),
                1,
                "The experiment's weights cannot be read or used: each execution environment keeps its last good ones, "
                "and new ones start with those of the deployment. See weights_failure in the function's log; write "
                "the weights again with tools.experiment.",
            )
