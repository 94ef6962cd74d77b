"""Gradual releases: CodeDeploy shifts the alias to a new version, checks it, and rolls back by alarms on it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.components.acknowledge import acknowledge, acknowledge_inline
from infra.components.classifier_function import ALIAS, ClassifierFunction
from infra.components.container_function import ContainerFunction
from infra.components.grants import grant
from infra.components.monitoring import Monitoring
from infra.components.release_alarms import add_release_alarms, add_release_graphs
from infra.deployment import Deployment
from infra.settings.release import ReleaseSettings

# CodeDeploy quotas, 'Associated alarms per deployment group': the default was 10 for years and is adjustable now.
MAX_ALARMS = 10
HOOK_MEMORY_MIB = 512
# CodeDeploy waits an hour for a hook. The first start of a version takes up to half a minute.
HOOK_TIMEOUT_SECONDS = 600
SYNTHETIC_TIMEOUT_SECONDS = 60
_INVOKED_BY_CODEDEPLOY = "CodeDeploy invokes it and waits for its report; a lost event ends the deployment as failed."
_NEXT_MINUTE = "The next minute sends the next event, so one that failed is not worth keeping."
_VERSIONS = (
    "The version is known only while it is published: a policy that names it would change with every release, "
    "seconds before the check needs it, and take up to a minute to be in force."
)


class Release(Construct):
    """Hooks, synthetic traffic, rollback alarms and, on AWS, CodeDeploy's deployment group.

    Parameters
    ----------
    reserved
        Whether the deployment reserves concurrency, so that these functions do, too.
    codedeploy
        Whether CodeDeploy exists: in the local cloud ``localcloud.releases`` stands in for it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        settings: ReleaseSettings,
        classifier: ClassifierFunction,
        reserved: bool,
        codedeploy: bool,
    ) -> None:
        super().__init__(scope, id)
        self._deployment, self._settings, self._classifier = deployment, settings, classifier
        self._reserved, self._codedeploy = reserved, codedeploy
        self._version = classifier.function.current_version.version
        classifier.function.add_environment("LOUPE_METRICS_BY_RELEASE", "true")
        self._before = self._after = None
        if settings.hooks:
            self._before = self._function("BeforeTraffic", "before", "Checks a new version before it gets traffic")
            self._after = self._function("AfterTraffic", "after", "Checks the alias after it has moved")
        if settings.synthetic_traffic:
            self._add_synthetic_traffic()

    def monitor(self, monitoring: Monitoring) -> None:
        """Add the rollback alarms and dashboard graphs, and let CodeDeploy shift the alias and watch the alarms."""
        function = self._classifier.function
        alarms = add_release_alarms(
            monitoring,
            settings=self._settings,
            environment=self._deployment.environment,
            function=function.function_name,
            alias=ALIAS,
            version=self._version,
        )
        add_release_graphs(monitoring, environment=self._deployment.environment, version=self._version)
        # CloudFormation moves the alias after everything here, so that the alarms already watch the new version.
        before_alias: list[Construct] = [*alarms]
        before_alias += [part for part in (self._before, self._after) if part]
        if self._codedeploy:
            before_alias += self._deployment_group(alarms)
        self._classifier.alias.node.add_dependency(*before_alias)

    def _deployment_group(self, alarms: Sequence[cloudwatch.IAlarm]) -> list[Construct]:
        """Add the deployment group and make it move the alias; return what has to exist before the alias moves."""
        settings = self._settings
        interval = cdk.Duration.minutes(settings.interval_minutes)
        routing = (
            codedeploy.TrafficRouting.time_based_canary(interval=interval, percentage=settings.percent)
            if settings.strategy == "canary"
            else codedeploy.TrafficRouting.time_based_linear(interval=interval, percentage=settings.percent)
        )
        role = self._role()
        alias = self._classifier.alias
        group = codedeploy.LambdaDeploymentGroup(
            self,
            "Group",
            alias=alias,
            # CloudFormation chooses its name, because another interval is another configuration, which is created
            # before its predecessor is deleted.
            deployment_config=codedeploy.LambdaDeploymentConfig(self, "Config", traffic_routing=routing),
            alarms=list(alarms),
            auto_rollback=codedeploy.AutoRollbackConfig(
                failed_deployment=True, stopped_deployment=True, deployment_in_alarm=True
            ),
            # The construct would attach AWS's managed policy, which may move every alias of the account.
            role=role.without_policy_updates(),
        )
        hooks = {"before_allow_traffic_hook": self._before, "after_allow_traffic_hook": self._after}
        names = {name: part.function.function_name for name, part in hooks.items() if part}
        resource = alias.node.default_child
        assert isinstance(resource, lambda_.CfnAlias)  # noqa: S101
        resource.cfn_options.update_policy = cdk.CfnUpdatePolicy(
            code_deploy_lambda_alias_update=cdk.CfnCodeDeployLambdaAliasUpdate(
                application_name=group.application.application_name,
                deployment_group_name=group.deployment_group_name,
                **names,
            )
        )
        for part in (self._before, self._after):
            if part:
                grant(part.role, ("codedeploy:PutLifecycleEventHookExecutionStatus",), group.deployment_group_arn)
        return [group, role]

    def _role(self) -> iam.Role:
        """Return what CodeDeploy may do: move this alias, invoke these hooks, read alarms."""
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
            description=f"What CodeDeploy may do: move the alias of {self._deployment.name}, invoke the release hooks",
        )
        function = self._classifier.function.function_arn
        alias = f"{function}:{ALIAS}"
        grant(role, ("lambda:GetAlias", "lambda:UpdateAlias"), function, alias)
        grant(role, ("lambda:GetProvisionedConcurrencyConfig",), function, alias)
        grant(role, ("cloudwatch:DescribeAlarms",), "*")
        hooks = [part.function.function_arn for part in (self._before, self._after) if part]
        if hooks:
            grant(role, ("lambda:InvokeFunction",), *hooks)
        policy = role.node.find_child("DefaultPolicy")
        acknowledge(
            policy,
            "AwsSolutions-IAM5[Resource::*]",
            "CodeDeploy polls its alarms with DescribeAlarms, as AWS's managed policy lets it; it only reads.",
        )
        acknowledge_inline(policy)
        return role

    def _function(
        self,
        id: str,
        name: str,
        description: str,
        *,
        handler: str = "",
        timeout: int = HOOK_TIMEOUT_SECONDS,
        no_dead_letter_queue: str = _INVOKED_BY_CODEDEPLOY,
    ) -> ContainerFunction:
        classifier = self._classifier
        part = ContainerFunction(
            self,
            id,
            deployment=self._deployment,
            name=f"{self._deployment.name}-{name}-traffic",
            description=description,
            image=classifier.image,
            command=f"release.{handler or name}_traffic",
            memory_mib=HOOK_MEMORY_MIB,
            timeout=cdk.Duration.seconds(timeout),
            environment=self._variables(classifier.variables),
            reserved_concurrency=1 if self._reserved else None,
            no_dead_letter_queue=no_dead_letter_queue,
        )
        function = classifier.function.function_arn
        grant(part.role, ("lambda:InvokeFunction",), f"{function}:*")
        resolved = cdk.Stack.of(self).resolve(function)["Fn::GetAtt"][0]
        acknowledge(
            part.role.node.find_child("DefaultPolicy"), f"AwsSolutions-IAM5[Resource::<{resolved}.Arn>:*]", _VERSIONS
        )
        return part

    def _variables(self, core: Mapping[str, str]) -> dict[str, str]:
        shared = ("LOUPE_ENVIRONMENT", "LOUPE_MODEL", "LOUPE_MODELS")
        settings = self._settings
        return {
            **{name: core[name] for name in shared if name in core},
            "LOUPE_RELEASE_FUNCTION": self._deployment.name,
            "LOUPE_RELEASE_ALIAS": ALIAS,
            "LOUPE_RELEASE_VERSION": self._version,
            "LOUPE_RELEASE_ENVIRONMENTS": str(settings.environments),
            "LOUPE_RELEASE_MAX_LATENCY_MS": str(settings.max_latency_ms),
            "LOUPE_RELEASE_MAX_MEMORY_SHARE": repr(settings.max_memory_share),
        }

    def _add_synthetic_traffic(self) -> None:
        part = self._function(
            "SyntheticTraffic",
            "synthetic",
            "Sends golden cases to the version that the alias shifts to",
            timeout=SYNTHETIC_TIMEOUT_SECONDS,
            no_dead_letter_queue=_NEXT_MINUTE,
        )
        function = self._classifier.function.function_arn
        grant(part.role, ("lambda:GetAlias",), function, f"{function}:{ALIAS}")
        events.Rule(
            self,
            "EveryMinute",
            description=f"{self._deployment.name}: golden cases for a version that the alias shifts to",
            schedule=events.Schedule.rate(cdk.Duration.minutes(1)),
            targets=[targets.LambdaFunction(part.function, retry_attempts=0, max_event_age=cdk.Duration.minutes(1))],
        )
