"""Authorization by mode: API keys with usage plans, AWS identities, tokens of a user pool or of any issuer."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.components.acknowledge import acknowledge
from infra.components.explicit import write_key
from infra.components.user_pool import MachineUserPool
from infra.deployment import Deployment
from infra.logical_ids import pascal_case
from infra.settings.auth import AuthSettings, ClientPlan

_NONE = apigateway.AuthorizationType.NONE
_PERIODS = {
    "day": apigateway.Period.DAY,
    "week": apigateway.Period.WEEK,
    "month": apigateway.Period.MONTH,
}
_OPEN = "Open on purpose: it tells nothing but that the endpoint is up, and monitors have no credentials."
_NO_ROTATION = (
    "A key is renewed together with the client that holds it, by auth.clients.*.key_version or a second client; a "
    "rotation that its client does not know of would lock the client out."
)
_PREFLIGHT = "A browser's preflight carries no credentials, by the Fetch standard."
# cdk-nag's rules that a method has an authorizer, and that it is a user pool; by mode, the reason that it has not.
_RULES: tuple[str, ...] = ("APIG4", "COG4")
_REASONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "api-key": (
        "Callers are told apart by API key and usage plan (auth.mode 'api-key'); there are no user sessions.",
        _RULES,
    ),
    "iam": ("Callers sign with AWS identities (auth.mode 'iam'), which IAM policies let in or not.", ("COG4",)),
    "cognito": ("", ()),
    "jwt": (
        "Callers show tokens of an OpenID issuer (auth.mode 'jwt'), which the authorizer checks; it is no user pool.",
        ("COG4",),
    ),
    "none": (
        "All clients may call (auth.mode 'none'), which the settings reject unless it is confirmed.",
        _RULES,
    ),
}


class ApiAuth(Construct):
    """Authorization of the methods by mode, and its resources: keys and plans, a user pool, the resource policy.

    Parameters
    ----------
    clients
        Clients with API keys: none in other modes than ``api-key``.
    authorizer
        Of mode ``jwt``.

    Attributes
    ----------
    outputs
        Of the stack: value and description by name.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        settings: AuthSettings,
        clients: Mapping[str, ClientPlan],
        authorizer: apigateway.IAuthorizer | None,
    ) -> None:
        super().__init__(scope, id)
        self._deployment, self._settings, self._clients = deployment, settings, clients
        self._open: list[apigateway.Method] = []
        self.outputs: dict[str, tuple[str, str]] = {}
        self._protected: dict[str, Any] = {"authorization_type": _NONE, "api_key_required": settings.mode == "api-key"}
        if settings.mode == "iam":
            self._protected["authorization_type"] = apigateway.AuthorizationType.IAM
        elif settings.mode == "cognito":
            self._protected |= self._user_pool()
        elif authorizer is not None:
            self._protected |= {"authorization_type": apigateway.AuthorizationType.CUSTOM, "authorizer": authorizer}

    def options(self, *, open: bool) -> dict[str, Any]:
        """Return the authorization options of a method; an open one needs no credentials."""
        return {"authorization_type": _NONE, "api_key_required": False} if open else self._protected

    def add(self, method: apigateway.Method, *, open: bool, preflight: bool = False) -> None:
        """Register a method that was added with these options, and acknowledge why it has no authorizer."""
        if open or preflight:
            self._open.append(method)
            reason, rules = (_PREFLIGHT if preflight else _OPEN), _RULES
        else:
            reason, rules = _REASONS[self._settings.mode]
        for rule in rules:
            acknowledge(method, f"AwsSolutions-{rule}", reason)

    def attach(self, api: apigateway.RestApi, *, stage: str) -> None:
        """Add resource policy, API keys and usage plans to the API, after its methods."""
        for number, (name, client) in enumerate(self._clients.items()):
            key_id = self._add_client(api, name, client)
            self.outputs["ApiKeyId" if number == 0 else f"ApiKeyId{pascal_case(name)}"] = (
                key_id,
                f"Client {name}: aws apigateway get-api-key --include-value --api-key <this> shows the key",
            )
        # In every mode: CloudFormation keeps the policy of a RestApi whose template has none (aws-cdk issue 21840), so
        # that a caller who was removed would stay authorized, and other modes would lock everybody out.
        if self._settings.mode == "iam":
            self._allow_open_methods(api, stage)
            if callers := self._settings.iam.callers:
                api.add_to_resource_policy(
                    _invoke([iam.ArnPrincipal(caller) for caller in callers], ["execute-api:/*"])
                )
        else:
            api.add_to_resource_policy(_invoke([iam.AnyPrincipal()], ["execute-api:/*"]))

    def log_fields(self) -> Mapping[str, str]:
        """Return access-log fields that identify the client; never a key or a token."""
        context = apigateway.AccessLogField
        if self._settings.mode == "iam":
            return {"caller": context.context_identity_user_arn()}
        if self._settings.mode == "cognito":
            return {"caller": context.context_authorizer_claims("client_id")}
        if self._settings.mode == "jwt":
            return {"caller": context.context_authorizer_principal_id()}
        return {"api_key_id": context.context_identity_api_key_id()}

    def _add_client(self, api: apigateway.RestApi, name: str, client: ClientPlan) -> str:
        title = pascal_case(name)
        version = "" if client.key_version == 1 else f"-{client.key_version}"
        if client.secret is None:
            secret = secretsmanager.Secret(
                self,
                f"Secret{title}{version}",
                description=f"Loupe {self._deployment.environment}: API key of client {name}",
                encryption_key=self._deployment.encryption_key,
                generate_secret_string=secretsmanager.SecretStringGenerator(
                    password_length=40,
                    exclude_punctuation=True,
                    exclude_characters=string.punctuation,
                    include_space=False,
                ),
                removal_policy=self._deployment.removal_policy,
            )
            write_key(secret)
            for rule in ("AwsSolutions-SMG4", "NIST.800.53.R5-SecretsManagerRotationEnabled"):
                acknowledge(secret, rule, _NO_ROTATION)
            value = secret.secret_value
        else:
            value = cdk.SecretValue.secrets_manager(client.secret)
        # A dynamic reference: CloudFormation reads the secret, and the template holds its name.
        key = apigateway.ApiKey(
            self,
            f"Key{title}{version}",
            value=value.unsafe_unwrap(),
            description=f"Loupe {self._deployment.environment}: client {name}",
        )
        plan = apigateway.UsagePlan(
            self,
            f"Plan{title}",
            name=f"{self._deployment.name}-{name}",
            throttle=apigateway.ThrottleSettings(rate_limit=client.rate, burst_limit=client.burst),
            quota=apigateway.QuotaSettings(limit=client.quota.requests, period=_PERIODS[client.quota.period])
            if client.quota
            else None,
            api_stages=[apigateway.UsagePlanPerApiStage(api=api, stage=api.deployment_stage)],
        )
        plan.add_api_key(key)
        return key.key_id

    def _user_pool(self) -> dict[str, Any]:
        settings = self._settings.cognito
        if settings.user_pool_arn is None:
            machine_pool = MachineUserPool(
                self,
                "UserPool",
                deployment=self._deployment,
                settings=settings,
            )
            self.outputs |= machine_pool.outputs
            pool: cognito.IUserPool = machine_pool.pool
        else:
            pool = cognito.UserPool.from_user_pool_arn(self, "UserPool", settings.user_pool_arn)
        authorizer = apigateway.CognitoUserPoolsAuthorizer(self, "Authorizer", cognito_user_pools=[pool])
        return {
            "authorization_type": apigateway.AuthorizationType.COGNITO,
            "authorizer": authorizer,
            "authorization_scopes": list(settings.scopes),
        }

    def _allow_open_methods(self, api: apigateway.RestApi, stage: str) -> None:
        """Allow all principals the open methods, and nothing else.

        Identities of this account need no statement: their IAM policies suffice. A principal in a statement needs no
        IAM policy, so a statement for all principals and methods would authorize every identity of the account (API
        Gateway developer guide, 'How API Gateway resource policies affect authorization workflow').
        """
        # By the stage's name, not by reference: the stage itself depends on the API that holds the policy.
        open_methods = [f"execute-api:/{stage}/{method.http_method}{method.resource.path}" for method in self._open]
        api.add_to_resource_policy(_invoke([iam.AnyPrincipal()], open_methods))


def _invoke(principals: Sequence[iam.IPrincipal], resources: Sequence[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=["execute-api:Invoke"], principals=list(principals), resources=list(resources))
