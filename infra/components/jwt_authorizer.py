"""The JWT authorizer: a function that API Gateway invokes for each token without a cached result."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.base_image import build_args
from infra.components import metrics
from infra.components.container_function import ContainerFunction
from infra.components.container_image import ArchitectureName, BuiltImage, ContainerImage, EcrImage
from infra.components.monitoring import Monitoring
from infra.deployment import Deployment
from infra.settings import FunctionSettings
from infra.settings.auth import AuthorizerImage, JwtSettings
from infra.sources import Sources

HANDLER = "authorize.handler"
# Two fetches of at most three seconds (discovery document, keys) and a cold start.
TIMEOUT_SECONDS = 10
# Less memory is less CPU, and the cryptography import delays the first response.
MEMORY_MIB = 512
# A header that does not look like a token gets 401 without an invocation.
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
        sources: Sources | None = None,
    ) -> None:
        super().__init__(scope, id)
        # The id "Default" adds nothing to the logical IDs.
        container = ContainerFunction(
            self,
            "Default",
            deployment=deployment,
            name=f"{deployment.name}-authorizer",
            description=f"Lets callers in who show a token of {settings.issuer}",
            image=authorizer_image(settings.image, function.architecture, sources or Sources()),
            command=HANDLER,
            memory_mib=MEMORY_MIB,
            timeout=cdk.Duration.seconds(TIMEOUT_SECONDS),
            environment={"LOUPE_ENVIRONMENT": deployment.environment} | variables(settings),
            # As many more of the account's concurrency: it is invoked at most as often as the classifier.
            reserved_concurrency=function.reserved_concurrency,
        )
        self.function = container.function
        self.authorizer = apigateway.TokenAuthorizer(
            self,
            "Tokens",
            handler=self.function,
            identity_source=apigateway.IdentitySource.header("Authorization"),
            validation_regex=BEARER,
            results_cache_ttl=cdk.Duration.seconds(settings.result_seconds),
        )
        self._metric = cloudwatch.Metric(
            namespace=metrics.NAMESPACE,
            metric_name=metrics.AUTHORIZER_FAULTS,
            dimensions_map={"Environment": deployment.environment},
            statistic="Sum",
        )

    def monitor(self, monitoring: Monitoring) -> None:
        """Add the alarm on tokens that could not be checked.

        Lambda's Errors also count each rejected token, for which the authorizer raises: clients could set them off.
        """
        monitoring.add_alarm(
            "AuthorizerFaults",
            self._metric.with_(period=monitoring.period),
            monitoring.settings.authorizer_faults,
            "Tokens cannot be checked, and clients get 500: the issuer's keys cannot be fetched, or the authorizer is "
            "broken. Look for ERROR in its log.",
            severity="page",
        )


def add_jwt_authorizer(
    scope: Construct,
    *,
    deployment: Deployment,
    settings: JwtSettings | None,
    function: FunctionSettings,
    sources: Sources,
) -> JwtAuthorizer | None:
    """Add the authorizer, if auth.mode is `jwt`."""
    if settings is None:
        return None
    return JwtAuthorizer(
        scope, "Authorizer", deployment=deployment, settings=settings, function=function, sources=sources
    )


def authorizer_image(
    settings: AuthorizerImage | None, architecture: ArchitectureName, sources: Sources
) -> ContainerImage:
    """Return the authorizer's image: from ECR, or built from source."""
    if settings is not None:
        return EcrImage(architecture, settings.repository, settings.reference, settings.account)
    return BuiltImage(architecture, sources.authorizer, build_args=build_args(None, architecture, sources.base_lock))


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
