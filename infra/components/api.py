"""The REST API: routes to the function's alias, API keys and usage plan, access log, problems in one shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.components.acknowledge import acknowledge
from infra.contract import Contract, Route
from infra.settings import ApiSettings

# A regional default endpoint takes TLS 1.0 unless told otherwise; this takes 1.2 and 1.3 (API Gateway developer guide,
# 'Security policies for REST APIs'). With STRICT the name in the TLS handshake must be the host that is asked for.
SECURITY_POLICY = "SecurityPolicy_TLS13_1_2_PQ_2025_09"
ENDPOINT_ACCESS_MODE = "STRICT"


class ClassifierApi(Construct):
    """A regional REST API whose every route goes to one function.

    Attributes
    ----------
    url
        With the stage and a slash at its end.
    key_id
        Of the API key, or None where none is required.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: str,
        target: lambda_.IFunction,
        settings: ApiSettings,
        timeout: cdk.Duration,
        tracing: bool,
        log_retention: logs.RetentionDays,
        removal_policy: cdk.RemovalPolicy,
        contract: Contract,
    ) -> None:
        super().__init__(scope, id)
        access_log = logs.LogGroup(self, "AccessLog", retention=log_retention, removal_policy=removal_policy)
        self.api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=f"loupe-{environment}",
            description="Classifies pictures",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            binary_media_types=list(contract.binary_media_types),
            cloud_watch_role=settings.account_log_role,
            deploy_options=apigateway.StageOptions(
                stage_name=settings.stage,
                throttling_rate_limit=settings.rate_limit,
                throttling_burst_limit=settings.burst_limit,
                metrics_enabled=True,
                tracing_enabled=tracing,
                access_log_destination=apigateway.LogGroupLogDestination(access_log),
                access_log_format=_access_log_format(),
            ),
        )
        resource = self.api.node.default_child
        assert isinstance(resource, apigateway.CfnRestApi)  # noqa: S101
        resource.security_policy, resource.endpoint_access_mode = SECURITY_POLICY, ENDPOINT_ACCESS_MODE
        integration = apigateway.LambdaIntegration(
            target, proxy=True, timeout=cdk.Duration.seconds(29), allow_test_invoke=False
        )
        if timeout.to_seconds() >= 29:
            raise ValueError("the function's timeout must be below API Gateway's 29 s")
        self._validator = self.api.add_request_validator("Bodies", validate_request_body=True)
        for route in contract.routes:
            self._add(route, integration, settings, self._model(route, contract))
        for name, problem in contract.problems.items():
            self._add_response(name, problem["status"], json.dumps(problem), _cors_headers(settings.cors_origins))
        self.key_id = self._add_usage_plan(environment, settings) if settings.key_required else None
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
        return apigateway.Model.from_model_name(self, f"{route.schema}Model", model.ref)

    def _add(
        self,
        route: Route,
        integration: apigateway.Integration,
        settings: ApiSettings,
        model: apigateway.IModel | None,
    ) -> None:
        resource = self.api.root.resource_for_path(route.path)
        keyed = settings.key_required and not route.open
        # HEAD goes with GET (RFC 9110); a preflight (Fetch standard) carries no key.
        method = resource.add_method(
            route.method,
            integration,
            api_key_required=keyed,
            request_models=None if model is None else {"application/json": model},
            request_validator=None if model is None else self._validator,
        )
        methods = [method]
        if route.method == "GET":
            methods.append(resource.add_method("HEAD", integration, api_key_required=keyed))
        preflight = None
        if settings.cors_origins:
            preflight = resource.add_method("OPTIONS", integration, api_key_required=False)
        if route.open:
            reason = "Open on purpose: it tells nothing but that the endpoint is up, and monitors have no credentials."
        else:
            reason = "Callers are told apart by API key and usage plan (api.key_required); there are no user sessions."
        for rule in ("AwsSolutions-APIG4", "AwsSolutions-COG4"):
            for method in methods:
                acknowledge(method, rule, reason)
            if preflight is not None:
                acknowledge(preflight, rule, "A browser's preflight carries no credentials, by the Fetch standard.")

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
        stage = self.api.deployment_stage
        acknowledge(
            stage,
            "AwsSolutions-APIG6",
            "Execution logs need a role for the whole account and repeat headers, keys among them. The access log and "
            "the function's log tell the same by request id.",
        )
        acknowledge(
            stage,
            "AwsSolutions-APIG3",
            "Stage and usage plan throttle, and reserved concurrency caps the cost; rules that inspect bodies see only "
            "the first 16 KB of a picture.",
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

    def _add_usage_plan(self, environment: str, settings: ApiSettings) -> str:
        limits = settings.usage_plan
        key = self.api.add_api_key("Key", description=f"Loupe {environment}: the first client")
        plan = self.api.add_usage_plan(
            "UsagePlan",
            name=f"loupe-{environment}",
            throttle=apigateway.ThrottleSettings(rate_limit=limits.rate_limit, burst_limit=limits.burst_limit),
            quota=apigateway.QuotaSettings(limit=limits.quota_per_day, period=apigateway.Period.DAY)
            if limits.quota_per_day
            else None,
        )
        plan.add_api_key(key)
        plan.add_api_stage(stage=self.api.deployment_stage)
        return key.key_id


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


def _access_log_format() -> apigateway.AccessLogFormat:
    """JSON, a line a request; no query (it may hold what is private) and no key but its id."""
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
        "api_key_id": context.context_identity_api_key_id(),
        "user_agent": context.context_identity_user_agent(),
    }
    return apigateway.AccessLogFormat.custom(json.dumps(fields))


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
