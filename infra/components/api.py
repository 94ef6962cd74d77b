"""The REST API: routes to the function's alias, access log, problems in one shape. `auth` decides who may call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.components import network as endpoints
from infra.components.acknowledge import acknowledge
from infra.components.auth import ApiAuth
from infra.components.dashboard import DashboardSection, graph
from infra.components.monitoring import Monitoring
from infra.contract import Contract, Route, methods_of
from infra.deployment import Deployment
from infra.settings import ApiSettings, SettingsError
from infra.settings.network import NetworkSettings

# By default a regional endpoint accepts TLS 1.0; this policy accepts 1.2 and 1.3 (API Gateway developer guide,
# 'Security policies for REST APIs'). Private endpoints support it, too (AWS Compute Blog, 'Enhancing API security with
# Amazon API Gateway TLS security policies').
SECURITY_POLICY = "SecurityPolicy_TLS13_1_2_PQ_2025_09"
# "Amazon API Gateway quotas": resource policy of a REST API.
MAX_POLICY_CHARACTERS = 8_192
_SHORT_FORM = "execute-api:/"
LONGEST_API_ARN = len("arn:aws-us-gov:execute-api:ap-southeast-1:111122223333:a1b2c3d4e5/")


_STAGE_REASONS = {
    "CacheEnabledAndEncrypted": "Answers depend on the body of a POST, which API Gateway's cache does not look at.",
    "ExecutionLoggingEnabled": "The access log and the function's own tell of every request. Execution logs go to a "
    "group that API Gateway makes, without retention or key, and at their full level hold bodies and keys.",
    "SSLEnabled": "A client certificate shows the gateway to HTTP backends; this one invokes a function, by IAM.",
}


class ClassifierApi(Construct):
    """A regional REST API: its routes go to one function, those of bulk jobs to another.

    Parameters
    ----------
    jobs
        Function of the job routes; None leaves them out.

    Attributes
    ----------
    url
        With the stage and a slash at its end.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        target: lambda_.IFunction,
        settings: ApiSettings,
        auth: ApiAuth,
        network: NetworkSettings,
        open_burst: int,
        timeout: cdk.Duration,
        contract: Contract,
        jobs: lambda_.IFunction | None = None,
    ) -> None:
        super().__init__(scope, id)
        self.access_log = deployment.log_group(self, "AccessLog")
        self.api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=deployment.name,
            description="Classifies images",
            binary_media_types=list(contract.binary_media_types),
            cloud_watch_role=settings.account_log_role,
            deploy_options=apigateway.StageOptions(
                stage_name=settings.stage,
                throttling_rate_limit=settings.rate_limit,
                throttling_burst_limit=settings.burst_limit,
                method_options=_open_methods(contract, settings, open_burst, jobs=jobs is not None),
                metrics_enabled=settings.method_metrics,
                tracing_enabled=deployment.tracing,
                access_log_destination=apigateway.LogGroupLogDestination(self.access_log),
                access_log_format=_access_log_format(auth.log_fields()),
            ),
            **endpoints.api_options(self, network),
        )
        resource = self.api.node.default_child
        assert isinstance(resource, apigateway.CfnRestApi)  # noqa: S101
        resource.security_policy = SECURITY_POLICY
        # STRICT requires that the TLS server name equals the requested host, which names of VPC endpoints do not.
        resource.endpoint_access_mode = "STRICT" if network.private_endpoint is None else "BASIC"
        integration = apigateway.LambdaIntegration(
            target, proxy=True, timeout=cdk.Duration.seconds(29), allow_test_invoke=False
        )
        if timeout.to_seconds() >= 29:
            raise ValueError("the function's timeout must be below API Gateway's 29 s")
        for route in contract.routes:
            self._add(route, integration, settings, auth)
        if jobs is not None:
            to_jobs = apigateway.LambdaIntegration(
                jobs, proxy=True, timeout=cdk.Duration.seconds(29), allow_test_invoke=False
            )
            for route in contract.job_routes:
                self._add(route, to_jobs, settings, auth)
        for name, problem in contract.problems.items():
            self._add_response(name, problem, contract.retry_after.get(name), _cors_headers(settings.cors_origins))
        auth.attach(self.api, stage=settings.stage)
        endpoints.deny_others(self.api, network)
        self._check_policy(deployment.environment, resource)
        self.url = self.api.url
        self._acknowledge(account_log_role=settings.account_log_role)

    def monitor(self, monitoring: Monitoring) -> None:
        """Add alarms and graphs on API Gateway's metrics of the stage."""
        stage, settings, period = self.api.deployment_stage, monitoring.settings, monitoring.period
        monitoring.add_alarm(
            "ApiErrorRate",
            monitoring.rate(
                stage.metric_server_error(period=period, statistic="Sum"), stage.metric_count(period=period)
            ),
            settings.api_error_rate,
            "Callers get 5xx. If neither FunctionErrorRate nor ServerFaultRate is in alarm, the gateway, its "
            "permission or an exhausted concurrency is the cause.",
            severity="page",
        )
        monitoring.add_alarm(
            "ApiLatencyP99",
            stage.metric_latency(period=period, statistic="p99"),
            settings.api_latency_p99_ms,
            "The slowest answers are too slow. Cold starts and images by URL show in the function's log lines.",
        )
        monitoring.add_graphs(
            DashboardSection.up,
            graph("Requests at the API", [stage.metric_count(period=period, label="requests")]),
            graph(
                "Failures at the API",
                [
                    stage.metric_server_error(period=period, statistic="Sum", label="5xx"),
                    stage.metric_client_error(period=period, statistic="Sum", label="4xx"),
                ],
            ),
        )
        monitoring.add_graphs(
            DashboardSection.fast,
            graph(
                "Latency at the API, ms",
                [
                    stage.metric_latency(period=period, statistic=statistic, label=statistic)
                    for statistic in ("p50", "p99")
                ],
            ),
        )

    def _add(self, route: Route, integration: apigateway.Integration, settings: ApiSettings, auth: ApiAuth) -> None:
        resource = self.api.root.resource_for_path(route.path)
        for method in methods_of(route):
            auth.add(resource.add_method(method, integration, **auth.options(open=route.open)), open=route.open)
        if settings.cors_origins and resource.node.try_find_child("OPTIONS") is None:
            preflight = resource.add_method("OPTIONS", integration, **auth.options(open=True))
            auth.add(preflight, open=True, preflight=True)

    def _check_policy(self, environment: str, resource: apigateway.CfnRestApi) -> None:
        """Raise SettingsError if the resource policy is longer than API Gateway takes."""
        policy = json.dumps(cdk.Stack.of(self).resolve(resource.policy), separators=(",", ":"))
        # API Gateway stores whole ARNs in place of the short form.
        size = len(policy) + policy.count(_SHORT_FORM) * (LONGEST_API_ARN - len(_SHORT_FORM))
        if size > MAX_POLICY_CHARACTERS:
            raise SettingsError(
                f"environments.{environment}: the API's resource policy would have {size:,} characters, and API "
                f"Gateway takes {MAX_POLICY_CHARACTERS:,}. Shorten network.allowed_cidrs or auth.iam.callers: name "
                "larger networks, or accounts (arn:aws:iam::<account>:root) in place of their roles."
            )

    def _acknowledge(self, *, account_log_role: bool) -> None:
        if account_log_role:
            acknowledge(
                self.api.node.find_child("CloudWatchRole"),
                "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
                "AmazonAPIGatewayPushToCloudWatchLogs]",
                "It is the account's role, for the logs of every API in the region; the API Gateway developer guide "
                "prescribes this policy ('Permissions for CloudWatch logging'), and only API Gateway may assume it.",
            )
        acknowledge(
            self.api,
            "AwsSolutions-APIG2",
            "Every body reaches the function base64-encoded (binaryMediaTypes */*), so the gateway's models cannot "
            "read it; the function validates each request before it decodes an image.",
        )
        for rule, reason in _STAGE_REASONS.items():
            acknowledge(self.api.deployment_stage, f"NIST.800.53.R5-APIGW{rule}", reason)
        stage = self.api.deployment_stage
        acknowledge(
            stage,
            "AwsSolutions-APIG6",
            "Execution logs need a role for the whole account and repeat headers, keys among them. The access log and "
            "the function's log tell the same by request id.",
        )

    def _add_response(
        self, name: str, problem: Mapping[str, Any], retry_after: int | None, headers: Mapping[str, str]
    ) -> None:
        self.api.add_gateway_response(
            _title(name),
            type=apigateway.ResponseType.of(name),
            status_code=str(problem["status"]),
            response_headers={
                "Content-Type": "'application/problem+json'",
                "X-Request-Id": "context.requestId",
                "Cache-Control": "'no-store'",
                **({} if retry_after is None else {"Retry-After": f"'{retry_after}'"}),
                **headers,
            },
            templates={"application/json": json.dumps(problem)},
        )


def _open_methods(
    contract: Contract, settings: ApiSettings, burst: int, *, jobs: bool
) -> dict[str, apigateway.MethodDeploymentOptions]:
    """Return throttles of methods without credentials, preflights included, by path and method."""
    throttle = apigateway.MethodDeploymentOptions(
        throttling_rate_limit=settings.open_rate_limit,
        throttling_burst_limit=burst,
        metrics_enabled=settings.method_metrics,
    )
    methods = contract.open_methods(preflights=bool(settings.cors_origins))
    if jobs and settings.cors_origins:
        # Preflights of the jobs function, whose concurrency is not the endpoint's.
        methods += tuple((path, "OPTIONS") for path in dict.fromkeys(route.path for route in contract.job_routes))
    return {f"{path}/{method}": throttle for path, method in methods}


def _cors_headers(origins: Sequence[str]) -> dict[str, str]:
    """Return headers that let pages of other origins read the gateway's own problems.

    The gateway cannot compare an origin with a list: with several, it returns the request's own. Its problems contain
    no client data, and such requests carry no credentials.
    """
    if not origins:
        return {}
    allowed = f"'{origins[0]}'" if len(origins) == 1 else "method.request.header.Origin"
    return {
        "Access-Control-Allow-Origin": allowed,
        "Access-Control-Expose-Headers": "'X-Request-Id, Retry-After'",
        **({} if origins[0] == "*" else {"Vary": "'Origin'"}),
    }


def _access_log_format(identity: Mapping[str, str]) -> apigateway.AccessLogFormat:
    """Return the format: JSON, one line per request, without the query (it may be private) and without secrets.

    No header either: API Gateway does not escape values, so a client could add fields by quotes in its user agent.
    """
    context = apigateway.AccessLogField
    fields = {
        "request_id": context.context_request_id(),
        # The function's own, which its log and the response's X-Request-Id have.
        "function_request_id": context.context_aws_endpoint_request_id(),
        "time": context.context_request_time(),
        "ip": context.context_identity_source_ip(),
        "method": context.context_http_method(),
        "path": context.context_resource_path(),
        "status": context.context_status(),
        "error": context.context_error_response_type(),
        "bytes": context.context_response_length(),
        "latency_ms": context.context_response_latency(),
        "function_latency_ms": context.context_integration_latency(),
        **identity,
    }
    return apigateway.AccessLogFormat.custom(json.dumps(fields))


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
