"""The REST API: routes to the function's alias, access log, problems in one shape. Who may call is `auth`'s to say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.components import network
from infra.components.acknowledge import acknowledge
from infra.components.auth import Callers
from infra.contract import Contract, Route
from infra.settings import ApiSettings
from infra.settings_network import NetworkSettings

# A regional default endpoint takes TLS 1.0 unless told otherwise; this takes 1.2 and 1.3 (API Gateway developer guide,
# 'Security policies for REST APIs'). With STRICT the name in the TLS handshake must be the host that is asked for.
SECURITY_POLICY = "SecurityPolicy_TLS13_1_2_PQ_2025_09"
ENDPOINT_ACCESS_MODE = "STRICT"


_STAGE_REASONS = {
    "CacheEnabledAndEncrypted": "Answers depend on the body of a POST, which API Gateway's cache does not look at.",
    "ExecutionLoggingEnabled": "The access log and the function's own tell of every request. Execution logs go to a "
    "group that API Gateway makes, without retention or key, and at their full level hold bodies and keys.",
    "SSLEnabled": "A client certificate shows the gateway to HTTP backends; this one invokes a function, by IAM.",
}


class ClassifierApi(Construct):
    """A regional REST API whose every route goes to one function.

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
        environment: str,
        target: lambda_.IFunction,
        settings: ApiSettings,
        callers: Callers,
        way: NetworkSettings,
        timeout: cdk.Duration,
        tracing: bool,
        log_retention: logs.RetentionDays,
        encryption_key: kms.IKey | None,
        removal_policy: cdk.RemovalPolicy,
        contract: Contract,
    ) -> None:
        super().__init__(scope, id)
        access_log = logs.LogGroup(
            self,
            "AccessLog",
            encryption_key=encryption_key,
            retention=log_retention,
            removal_policy=removal_policy,
        )
        self.api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=f"loupe-{environment}",
            description="Classifies pictures",
            binary_media_types=list(contract.binary_media_types),
            cloud_watch_role=settings.account_log_role,
            deploy_options=apigateway.StageOptions(
                stage_name=settings.stage,
                throttling_rate_limit=settings.rate_limit,
                throttling_burst_limit=settings.burst_limit,
                method_options=_open_methods(contract, settings),
                metrics_enabled=True,
                tracing_enabled=tracing,
                access_log_destination=apigateway.LogGroupLogDestination(access_log),
                access_log_format=_access_log_format(callers.log_fields()),
            ),
            **network.api_options(self, way),
        )
        resource = self.api.node.default_child
        assert isinstance(resource, apigateway.CfnRestApi)  # noqa: S101
        # A private endpoint has TLS 1.2 in any case, and strict access would refuse its endpoints' own names.
        if way.private_endpoint is None:
            resource.security_policy, resource.endpoint_access_mode = SECURITY_POLICY, ENDPOINT_ACCESS_MODE
        integration = apigateway.LambdaIntegration(
            target, proxy=True, timeout=cdk.Duration.seconds(29), allow_test_invoke=False
        )
        if timeout.to_seconds() >= 29:
            raise ValueError("the function's timeout must be below API Gateway's 29 s")
        self._validator = self.api.add_request_validator("Bodies", validate_request_body=True)
        for route in contract.routes:
            self._add(route, integration, settings, callers, self._model(route, contract))
        for name, problem in contract.problems.items():
            self._add_response(name, problem["status"], json.dumps(problem), _cors_headers(settings.cors_origins))
        callers.admit(self.api, stage=settings.stage, restricted=way.restricted)
        network.refuse_others(self.api, way)
        self.url = self.api.url
        self._acknowledge(account_log_role=settings.account_log_role)

    def _model(self, route: Route, contract: Contract) -> apigateway.IModel | None:
        """Give the gateway the schema of a route's body; its models are draft 4 JSON Schemas."""
        if route.schema is None:
            return None
        schema = {"$schema": "http://json-schema.org/draft-04/schema#", **contract.schemas[route.schema]}
        model = apigateway.CfnModel(
            self, route.schema, rest_api_id=self.api.rest_api_id, content_type="application/json", name=route.schema,
            schema=schema,
        )  # fmt: skip
        # A stage serves what was deployed: another schema has to be another deployment.
        if self.api.latest_deployment is not None:
            self.api.latest_deployment.add_to_logical_id({route.schema: schema})
        return apigateway.Model.from_model_name(self, f"{route.schema}Model", model.ref)

    def _add(
        self,
        route: Route,
        integration: apigateway.Integration,
        settings: ApiSettings,
        callers: Callers,
        model: apigateway.IModel | None,
    ) -> None:
        resource = self.api.root.resource_for_path(route.path)
        options = callers.options(open=route.open)
        # HEAD goes with GET (RFC 9110); a preflight (Fetch standard) carries no credentials.
        method = resource.add_method(
            route.method,
            integration,
            request_models=None if model is None else {"application/json": model},
            request_validator=None if model is None else self._validator,
            **options,
        )
        callers.add(method, open=route.open)
        if route.method == "GET":
            callers.add(resource.add_method("HEAD", integration, **options), open=route.open)
        if settings.cors_origins:
            preflight = resource.add_method("OPTIONS", integration, **callers.options(open=True))
            callers.add(preflight, open=True, preflight=True)

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
            "Bodies are pictures, which no JSON schema describes; the function checks every request before it decodes "
            "anything, and answers in the API's own problem shape.",
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

    def _add_response(self, name: str, status: int, template: str, headers: Mapping[str, str]) -> None:
        self.api.add_gateway_response(
            _title(name),
            type=apigateway.ResponseType.of(name),
            status_code=str(status),
            response_headers={
                "Content-Type": "'application/problem+json'",
                "X-Request-Id": "context.requestId",
                "Cache-Control": "'no-store'",
                **({"Retry-After": "'1'"} if name == "THROTTLED" else {}),
                **headers,
            },
            templates={"application/json": template},
        )


def _open_methods(contract: Contract, settings: ApiSettings) -> dict[str, apigateway.MethodDeploymentOptions]:
    """Throttles of the methods that everybody may call, by path and method."""
    throttle = apigateway.MethodDeploymentOptions(
        throttling_rate_limit=settings.open_rate_limit,
        throttling_burst_limit=settings.open_burst_limit,
        metrics_enabled=True,
    )
    return {f"{route.path}/{method}": throttle for route in contract.routes if route.open for method in ("GET", "HEAD")}


def _cors_headers(origins: Sequence[str]) -> dict[str, str]:
    """Headers by which a page elsewhere may read the gateway's own problems.

    The gateway cannot compare an origin with a list: with several, it repeats the one that asks. Its problems hold
    nothing of anybody's, and no credentials travel with such a request.
    """
    if not origins:
        return {}
    allowed = f"'{origins[0]}'" if len(origins) == 1 else "method.request.header.Origin"
    return {
        "Access-Control-Allow-Origin": allowed,
        "Access-Control-Expose-Headers": "'X-Request-Id, Retry-After'",
        **({} if origins[0] == "*" else {"Vary": "'Origin'"}),
    }


def _access_log_format(caller: Mapping[str, str]) -> apigateway.AccessLogFormat:
    """JSON, a line a request; no query (it may hold what is private) and nothing secret of the caller."""
    context = apigateway.AccessLogField
    fields = {
        "request_id": context.context_request_id(),
        "time": context.context_request_time(),
        "ip": context.context_identity_source_ip(),
        "method": context.context_http_method(),
        "path": context.context_resource_path(),
        "status": context.context_status(),
        "error": context.context_error_response_type(),
        "bytes": context.context_response_length(),
        "latency_ms": context.context_response_latency(),
        "function_latency_ms": context.context_integration_latency(),
        **caller,
        "user_agent": context.context_identity_user_agent(),
    }
    return apigateway.AccessLogFormat.custom(json.dumps(fields))


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
