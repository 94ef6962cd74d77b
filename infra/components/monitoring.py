"""Alarms to an encrypted topic. Each description tells the person who is woken what to look at."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.components import metrics
from infra.components.data_key import let_alarms_publish
from infra.deployment import Deployment
from infra.settings import AlarmSettings


class Monitoring(Construct):
    """Topic, alarms and a dashboard."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        model: str,
        function: lambda_.IFunction,
        timeout: cdk.Duration,
        reserved_concurrency: int | None,
        provisioned: lambda_.Alias | None,
        api: apigateway.RestApi,
        settings: AlarmSettings,
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._period = cdk.Duration.seconds(settings.period_seconds)
        self._function, self._api = function, api
        self._own = metrics.FunctionMetrics(environment=deployment.environment, model=model, period=self._period)
        self._prefix = deployment.name
        self.topic = self._topic(deployment.encryption_key or self._topic_key(deployment.removal_policy))
        self.alarms: list[cloudwatch.Alarm] = []
        if settings.enabled:
            self._add_function_alarms(timeout, reserved_concurrency)
            if provisioned is not None:
                self._add_spillover_alarm(provisioned)
            self._add_api_alarms()
            self._add_fault_alarm()
            self._add_image_alarm()
        self._add_dashboard(provisioned)

    def _topic_key(self, removal_policy: cdk.RemovalPolicy) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            description=f"{self._prefix}: alarm messages",
            enable_key_rotation=True,
            removal_policy=removal_policy,
        )
        let_alarms_publish(key)
        return key

    def _topic(self, key: kms.IKey) -> sns.Topic:
        topic = sns.Topic(self, "Alarms", display_name=f"{self._prefix} alarms", master_key=key, enforce_ssl=True)
        # enforce_ssl brings a topic policy, and a topic that has one loses the default policy, by which the account's
        # alarms could publish: said again here, or every alarm would ring unheard.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}},
            )
        )
        for address in self._settings.subscriptions:
            topic.add_subscription(subscriptions.EmailSubscription(address))
        return topic

    def _add_function_alarms(self, timeout: cdk.Duration, reserved_concurrency: int | None) -> None:
        settings, function, period = self._settings, self._function, self._period
        self._alarm(
            "FunctionErrorRate",
            self._rate(function.metric_errors(period=period), function.metric_invocations(period=period)),
            settings.function_error_rate,
            "The function crashes or times out. Look for ERROR and 'Task timed out' in its log; roll the alias back.",
        )
        self._alarm(
            "FunctionThrottles",
            function.metric_throttles(period=period, statistic="Sum"),
            settings.throttles,
            "Requests are turned away: concurrency is used up. Raise function.reserved_concurrency, or the account's.",
        )
        limit_ms = timeout.to_seconds() * 1000 * settings.duration_share_of_timeout
        self._alarm(
            "FunctionDurationP99",
            function.metric_duration(period=period, statistic="p99"),
            limit_ms,
            "The slowest requests come near the timeout. See the dashboard's stages; more memory is more CPU.",
        )
        if reserved_concurrency is not None:
            self._alarm(
                "FunctionConcurrency",
                self._concurrency(),
                reserved_concurrency * settings.concurrency_share_of_reserve,
                "Nearly all of the reserved concurrency is in use; throttling is next. Raise the reserve.",
            )

    def _add_spillover_alarm(self, alias: lambda_.Alias) -> None:
        # By alias, which has the provisioned concurrency: a call by version number would be none of its business.
        self._alarm(
            "ProvisionedSpillover",
            alias.metric("ProvisionedConcurrencySpilloverInvocations", statistic="Sum", period=self._period),
            1,
            "Provisioned concurrency is used up and requests meet cold starts. Raise scaling.provisioned.max, or lower "
            "its target_utilization.",
        )

    def _add_api_alarms(self) -> None:
        settings, stage, period = self._settings, self._api.deployment_stage, self._period
        self._alarm(
            "ApiErrorRate",
            self._rate(stage.metric_server_error(period=period, statistic="Sum"), stage.metric_count(period=period)),
            settings.api_error_rate,
            "Callers get 5xx. If neither FunctionErrorRate nor ServerFaultRate is in alarm, the gateway, its "
            "permission or an exhausted concurrency is the cause.",
        )
        self._alarm(
            "ApiLatencyP99",
            stage.metric_latency(period=period, statistic="p99"),
            settings.api_latency_p99_ms,
            "The slowest answers are too slow. Cold starts and pictures by URL show in the function's log lines.",
        )

    def _add_fault_alarm(self) -> None:
        """Faults that the function answered itself, over all codes, routes, batch items and direct invocations.

        The API's 5XXError sees neither items nor direct invocations, and Lambda's Errors only what was not answered.
        Requests are counted of the classify routes alone, so that faults of another route may outnumber them.
        """
        self._alarm(
            "ServerFaultRate",
            cloudwatch.MathExpression(
                expression="IF(faults > 0, faults / MAX([faults, FILL(requests, 0)]), 0)",
                using_metrics={
                    "faults": self._own.metric(metrics.SERVER_FAULTS),
                    "requests": self._own.metric(metrics.REQUESTS),
                },
                period=self._period,
            ),
            self._settings.server_fault_rate,
            "The function answers with its own faults (5xx), in items of batches and direct invocations too. Look for "
            "level ERROR, code and item_codes in its log; roll the alias back.",
        )

    def _add_image_alarm(self) -> None:
        # A body that was decoded as text on its way is no longer an image by its first bytes.
        self._alarm(
            "UndecodableImageRate",
            cloudwatch.MathExpression(
                expression="IF(requests > 0, (FILL(undecodable, 0) + FILL(unsupported, 0)) / requests, 0)",
                using_metrics={
                    "undecodable": self._own.metric(metrics.PROBLEMS, Code="image_undecodable"),
                    "unsupported": self._own.metric(metrics.PROBLEMS, Code="unsupported_media_type"),
                    "requests": self._own.metric(metrics.REQUESTS),
                },
                period=self._period,
            ),
            self._settings.undecodable_rate,
            "Many bodies are no image (unsupported_media_type) or a damaged one (image_undecodable): a client sends "
            "other files or text, or the API no longer passes bodies on as binary.",
        )

    def _concurrency(self) -> cloudwatch.Metric:
        """Return environments in use: of the function, as the reserve is the function's and not its alias's."""
        return cloudwatch.Metric(
            namespace="AWS/Lambda",
            metric_name="ConcurrentExecutions",
            dimensions_map={"FunctionName": self._prefix},
            statistic="Maximum",
            period=self._period,
        )

    def _rate(self, part: cloudwatch.IMetric, whole: cloudwatch.IMetric) -> cloudwatch.MathExpression:
        return cloudwatch.MathExpression(
            expression="IF(whole > 0, part / whole, 0)",
            using_metrics={"part": part, "whole": whole},
            period=self._period,
        )

    def _alarm(self, name: str, metric: cloudwatch.IMetric, threshold: float, description: str) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            evaluation_periods=self._settings.evaluation_periods,
            datapoints_to_alarm=max(1, self._settings.evaluation_periods * 3 // 5),
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            # No requests is no failure.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))
        self.alarms.append(alarm)

    def _add_dashboard(self, provisioned: lambda_.Alias | None) -> None:
        function, stage, period = self._function, self._api.deployment_stage, self._period
        graph = cloudwatch.GraphWidget
        stages = [self._own.metric(name, "p50") for name in metrics.STAGE_LATENCIES]
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self._prefix,
            widgets=[
                [
                    graph(title="Requests", left=[stage.metric_count(period=period)]),
                    graph(title="Latency at the API", left=[
                        stage.metric_latency(period=period, statistic="p50"),
                        stage.metric_latency(period=period, statistic="p99"),
                    ]),
                    graph(title="Failures", left=[
                        stage.metric_client_error(period=period, statistic="Sum"),
                        stage.metric_server_error(period=period, statistic="Sum"),
                        function.metric_errors(period=period),
                        function.metric_throttles(period=period),
                    ]),
                ],
                [
                    graph(title="Where the time goes (p50)", left=stages, stacked=True),
                    graph(title="Confidence", left=[
                        self._own.metric(metrics.CONFIDENCE, "p10"),
                        self._own.metric(metrics.CONFIDENCE, "p50"),
                    ]),
                    graph(title="Cold starts", left=[self._own.metric(metrics.COLD_STARTS)]),
                ],
                # What `python -m infra.plan` asks for, and whether its answer holds.
                [
                    graph(title="Duration of the function", left=[
                        function.metric_duration(period=period, statistic="Average"),
                        function.metric_duration(period=period, statistic="p95"),
                    ]),
                    graph(title="Environments in use", left=[self._concurrency()]),
                    *([] if provisioned is None else [self._provisioned_graph(provisioned)]),
                ],
            ],
        )  # fmt: skip

    def _provisioned_graph(self, alias: lambda_.Alias) -> cloudwatch.GraphWidget:
        def metric(name: str, statistic: str) -> cloudwatch.Metric:
            return alias.metric(name, statistic=statistic, period=self._period)

        return cloudwatch.GraphWidget(
            title="Provisioned concurrency",
            left=[
                metric("ProvisionedConcurrencyUtilization", "Average"),
                metric("ProvisionedConcurrencyUtilization", "Maximum"),
            ],
            right=[metric("ProvisionedConcurrencySpilloverInvocations", "Sum")],
        )
