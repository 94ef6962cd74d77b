"""The JWT authorizer: a small function that API Gateway asks about each token that it does not know."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.base_image import build_args
from infra.components.classifier_function import PLATFORMS, acknowledge_function
from infra.components.explicit import write_tracing
from infra.deployment import Deployment
from infra.paths import PROJECT_ROOT
from infra.settings import FunctionSettings
from infra.settings.auth import AuthorizerImage, JwtSettings

HANDLER = "authorize.handler"
# Two fetches of three seconds each, the discovery document and the keys, and a start.
TIMEOUT_SECONDS = 10
# Little memory is little CPU, and what checks signatures has to be imported before the first answer.
MEMORY_MIB = 512
# What is no token by its looks gets its 401 without an invocation.
BEARER = r"^[Bb]earer [-_A-Za-z0-9]+\.[-_A-Za-z0-9]+\.[-_A-Za-z0-9]+$"


class JwtAuthorizer(Construct):
    """Function, role, log group and authorizer.

    Attributes
    ----------
    authorizer
        For the methods of one API.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        settings: JwtSettings,
        function: FunctionSettings,
    ) -> None:
        super().__init__(scope, id)
        name = f"{deployment.name}-authorizer"
        # Without a fixed name: with `protection.keep_data` the group stays when another mode is chosen, and its name
        # would be taken when this mode comes back.
        log_group = deployment.log_group(self, "Logs")
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {name} may do: write its own log, send traces",
        )
        log_group.grant_write(role)
        architecture, platform = PLATFORMS[function.architecture]
        self.function = lambda_.DockerImageFunction(
            self,
            "Function",
            function_name=name,
            description=f"Lets callers in who show a token of {settings.issuer}",
            code=self._code(settings.image, platform, build_args(None, function.architecture)),
            architecture=architecture,
            memory_size=MEMORY_MIB,
            timeout=cdk.Duration.seconds(TIMEOUT_SECONDS),
            # As much again of the account's concurrency: it is asked as often as the classifier at most.
            reserved_concurrent_executions=function.reserved_concurrency,
            role=role,
            log_group=log_group,
            tracing=deployment.function_tracing,
            environment=variables(settings),
        )
        write_tracing(self.function)
        self.authorizer = apigateway.TokenAuthorizer(
            self,
            "Tokens",
            handler=self.function,
            identity_source=apigateway.IdentitySource.header("Authorization"),
            validation_regex=BEARER,
            results_cache_ttl=cdk.Duration.seconds(settings.result_seconds),
        )
        acknowledge_function(self.function, role, tracing=deployment.tracing)

    def _code(
        self, image: AuthorizerImage | None, platform: ecr_assets.Platform, base: dict[str, str]
    ) -> lambda_.DockerImageCode:
        if image is None:
            folder = str(PROJECT_ROOT / "authorizer")
            return lambda_.DockerImageCode.from_image_asset(
                folder, cmd=[HANDLER], build_args=base or None, platform=platform
            )
        repository = ecr.Repository.from_repository_name(self, "Repository", image.repository)
        return lambda_.DockerImageCode.from_ecr(repository, tag_or_digest=image.reference, cmd=[HANDLER])


def variables(settings: JwtSettings) -> dict[str, str]:
    """Return the function's environment variables; `authorize` parses them."""
    values = {
        "ISSUER": settings.issuer,
        "AUDIENCE": " ".join(settings.audience),
        "SCOPES": " ".join(settings.scopes),
        "CLAIMS": json.dumps(settings.claims) if settings.claims else "",
        "ALGORITHMS": " ".join(settings.algorithms),
        "JWKS_URI": settings.jwks_uri or "",
        "CACHE_SECONDS": str(settings.cache_seconds),
        "REFETCH_SECONDS": str(settings.refetch_seconds),
        "LEEWAY_SECONDS": str(settings.leeway_seconds),
        "ALLOW_HTTP": "true" if settings.plain_http else "",
    }
    return {f"LOUPE_JWT_{name}": value for name, value in values.items() if value}
