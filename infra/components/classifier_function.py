"""The Lambda function: a container image with one model, behind the alias ``live``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.allocator import ALLOCATOR
from infra.base_image import build_args
from infra.components.acknowledge import acknowledge
from infra.components.explicit import write_tracing
from infra.components.upload_bucket import UploadBucket, grant_read
from infra.deployment import Deployment
from infra.paths import PROJECT_ROOT
from infra.settings import FunctionSettings, ImageSettings, InputSettings, SettingsError

HANDLER = "handler.handler"
ALIAS = "live"
# Lambda developer guide, 'Lambda quotas': environment variables, all names and values together.
MAX_VARIABLES_BYTES = 4096
# LOUPE_UPLOAD_BUCKET and LOUPE_UPLOAD_SECONDS: their names, a bucket's name of 63 characters, four digits.
LATER_VARIABLES_BYTES = 106
PLATFORMS = {
    "x86_64": (lambda_.Architecture.X86_64, ecr_assets.Platform.LINUX_AMD64),
    "arm64": (lambda_.Architecture.ARM_64, ecr_assets.Platform.LINUX_ARM64),
}


class ClassifierFunction(Construct):
    """Function, role, log group and alias.

    Parameters
    ----------
    model
        Folder of ``models/`` that the image carries and serves.
    provisioned
        Execution environments that the alias keeps ready, or None: what it has before any scaling.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        model: str,
        image: ImageSettings,
        function: FunctionSettings,
        inputs: InputSettings,
        cors_origins: Sequence[str],
        domain: str | None,
        provisioned: int | None,
    ) -> None:
        super().__init__(scope, id)
        name = deployment.name
        architecture, platform = PLATFORMS[function.architecture]
        self.timeout = cdk.Duration.seconds(function.timeout_seconds)
        self.log_group = deployment.log_group(self, "Logs", name=f"/aws/lambda/{name}")
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {name} may do: write its own log, send traces",
        )
        self.log_group.grant_write(self.role)
        self.function = lambda_.DockerImageFunction(
            self,
            "Function",
            function_name=name,
            description=f"Classifies pictures with {model}",
            code=self._code(image, model, platform, build_args(image.base, function.architecture)),
            architecture=architecture,
            memory_size=function.memory_mib,
            timeout=self.timeout,
            ephemeral_storage_size=cdk.Size.mebibytes(function.ephemeral_storage_mib),
            reserved_concurrent_executions=function.reserved_concurrency,
            role=self.role,
            log_group=self.log_group,
            tracing=deployment.function_tracing,
            environment=ALLOCATOR
            | variables(
                environment=deployment.environment,
                model=model,
                function=function,
                inputs=inputs,
                cors_origins=cors_origins,
            ),
            # Versions stay where the rest stays: the alias can be turned back to an earlier one.
            current_version_options=lambda_.VersionOptions(removal_policy=deployment.removal_policy),
        )
        write_tracing(self.function)
        for location in inputs.s3.locations:
            grant_read(self.role, location)
        if inputs.uploads.enabled:
            uploads = UploadBucket(
                self,
                "Uploads",
                deployment=deployment,
                role=self.role,
                origins=(*cors_origins, f"https://{domain}") if cors_origins and domain else cors_origins,
            )
            self.function.add_environment("LOUPE_UPLOAD_BUCKET", uploads.bucket.bucket_name)
            self.function.add_environment("LOUPE_UPLOAD_SECONDS", str(inputs.uploads.valid_seconds))
        self.alias = self.function.add_alias(
            ALIAS, description="What the API calls", provisioned_concurrent_executions=provisioned
        )
        acknowledge_function(self.function, self.role, tracing=deployment.tracing)

    def _code(
        self, image: ImageSettings, model: str, platform: ecr_assets.Platform, base: Mapping[str, str]
    ) -> lambda_.DockerImageCode:
        if image.source == "ecr":
            repository = ecr.Repository.from_repository_name(self, "Repository", image.repository or "")
            return lambda_.DockerImageCode.from_ecr(repository, tag_or_digest=image.reference, cmd=[HANDLER])
        return lambda_.DockerImageCode.from_image_asset(
            str(PROJECT_ROOT),
            file="function/Dockerfile",
            cmd=[HANDLER],
            build_args={"MODEL": model, **base},
            platform=platform,
            # .dockerignore lets in only function/ and models/; of the models, only this one counts for the hash.
            ignore_mode=cdk.IgnoreMode.DOCKER,
            exclude=sorted(f"models/{path.name}" for path in (PROJECT_ROOT / "models").iterdir() if path.name != model),
        )


def acknowledge_function(function: lambda_.Function, role: iam.Role, *, tracing: bool) -> None:
    """Acknowledge what is so on purpose of a function that answers requests, and of its role."""
    acknowledge(
        function,
        "NIST.800.53.R5-LambdaDLQ",
        "It is invoked synchronously: the caller gets the failure, and nothing would ever reach such a queue.",
    )
    acknowledge(
        function,
        "NIST.800.53.R5-LambdaInsideVPC",
        "It needs nothing in a VPC; what it may reach over the internet its own settings and address checks decide.",
    )
    policy = role.node.try_find_child("DefaultPolicy")
    if policy is not None:
        acknowledge(
            policy,
            "NIST.800.53.R5-IAMNoInlinePolicy",
            "The policy is this role's alone, names its own resources, and goes with it; nobody else could use it.",
        )
    if policy is not None and tracing:
        acknowledge(
            policy,
            "AwsSolutions-IAM5[Resource::*]",
            "X-Ray's PutTraceSegments and PutTelemetryRecords take no resource (Service Authorization Reference, "
            "AWS X-Ray); the CDK grants just these two.",
        )


def variables(
    *,
    environment: str,
    model: str,
    function: FunctionSettings,
    inputs: InputSettings,
    cors_origins: Sequence[str] = (),
) -> dict[str, str]:
    """Return the function's environment variables; `loupe.settings` parses them."""
    url = inputs.url
    values = {
        "LOUPE_ENVIRONMENT": environment,
        "LOUPE_MODEL": model,
        "LOUPE_LOG_LEVEL": function.log_level,
        "LOUPE_METRICS_MAX_LABELS": str(function.metrics.max_labels),
        "LOUPE_METRICS_BY_VERSION": "true" if function.metrics.by_version else "false",
        "LOUPE_MAX_IMAGE_BYTES": str(inputs.max_image_bytes),
        "LOUPE_MAX_IMAGE_PIXELS": str(inputs.max_image_pixels),
        "LOUPE_FORMATS": ",".join(inputs.formats),
        "LOUPE_MAX_BATCH": str(inputs.max_batch),
        "LOUPE_S3_LOCATIONS": ",".join(inputs.s3.locations),
        "LOUPE_CORS_ORIGINS": ",".join(cors_origins),
        "LOUPE_URL_POLICY": url.policy,
        "LOUPE_URL_HOSTS": ",".join(url.hosts),
        "LOUPE_URL_SCHEMES": ",".join(url.schemes),
        "LOUPE_URL_PORTS": ",".join(map(str, url.ports)),
        "LOUPE_URL_PRIVATE_NETWORKS": ",".join(url.private_networks),
        "LOUPE_URL_TIMEOUT_SECONDS": repr(url.timeout_seconds),
    }
    return _within_limit({name: value for name, value in values.items() if value})


def _within_limit(values: dict[str, str]) -> dict[str, str]:
    """Raises SettingsError where Lambda would reject the sum of all variables at the deployment."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in {**ALLOCATOR, **values}.items())
    if size > MAX_VARIABLES_BYTES - LATER_VARIABLES_BYTES:
        raise SettingsError(
            f"The function's variables are {size} bytes, and Lambda takes {MAX_VARIABLES_BYTES} in all, of which "
            f"{LATER_VARIABLES_BYTES} are kept for the upload bucket's: shorten inputs.url.hosts, "
            "inputs.s3.locations or api.cors_origins."
        )
    return values
