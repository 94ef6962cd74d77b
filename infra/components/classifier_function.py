"""The Lambda function: a container image with one model, behind the alias ``live``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

from infra.allocator import ALLOCATOR
from infra.base_image import build_args
from infra.components import experiment as experiments
from infra.components.classifier_monitoring import (
    add_cold_start_alarm,
    add_fault_alarm,
    add_function_alarms,
    add_function_graphs,
    add_image_alarm,
    add_model_graphs,
    add_spillover_alarm,
)
from infra.components.container_function import ContainerFunction
from infra.components.container_image import ArchitectureName, BuiltImage, ContainerImage, EcrImage
from infra.components.explicit import write_snap_start
from infra.components.metrics import FunctionMetrics
from infra.components.monitoring import Monitoring
from infra.components.scaling import scale
from infra.components.upload_bucket import UploadBucket, grant_read
from infra.deployment import Deployment
from infra.settings import (
    CacheSettings,
    ExperimentSettings,
    FunctionSettings,
    ImageSettings,
    InputSettings,
    ScalingSettings,
    ServedModel,
    SettingsError,
)
from infra.sources import Sources

HANDLER = "handler.handler"
ALIAS = "live"
# Lambda developer guide, 'Lambda quotas': environment variables, all names and values together.
MAX_VARIABLES_BYTES = 4096
# Added by other components: LOUPE_UPLOAD_BUCKET and LOUPE_UPLOAD_SECONDS with a name of 63 characters and four digits
# (106), LOUPE_JOBS=true (14), LOUPE_METRICS_BY_RELEASE=true (28).
OTHER_VARIABLES_BYTES = 148


class ClassifierFunction(Construct):
    """The classifier: function, alias, upload bucket, permissions to read images from S3.

    Parameters
    ----------
    model
        Folder of the model that the image carries and serves.
    others
        Models that are served beside it: folders beside ``model``.
    experiment
        Splits HTTP requests between models; further entry points have no part in it.
    unserved_models
        Names of further models of the image, for its other functions.
    domain
        Custom domain of the API; its page may upload from a browser.

    Attributes
    ----------
    image
        For further entry points: `infra.components.container_function.ContainerFunction`.
    variables
        Environment variables that configure the core, for further entry points.
    own_variables
        These and the experiment's: what this function has, without what other components add.
    metrics
        The function's own, by model; the default model's first.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        model: Path,
        image: ImageSettings,
        function: FunctionSettings,
        inputs: InputSettings,
        scaling: ScalingSettings | None = None,
        cache: CacheSettings | None = None,
        others: Sequence[ServedModel] = (),
        experiment: ExperimentSettings | None = None,
        unserved_models: Sequence[str] = (),
        cors_origins: Sequence[str] = (),
        domain: str | None = None,
        sources: Sources | None = None,
    ) -> None:
        super().__init__(scope, id)
        self._name, self._reserved_concurrency = deployment.name, function.reserved_concurrency
        self._cached, self._by_version = bool(cache and cache.memory_mib), function.metrics.by_version
        self.metrics = {
            name: FunctionMetrics(environment=deployment.environment, model=name)
            for name in (model.name, *(item.name for item in others))
        }
        stage = cdk.Stage.of(self)
        assert stage is not None  # noqa: S101
        folders = [model, *(model.parent / name for name in (*(item.name for item in others), *unserved_models))]
        self.image = classifier_image(
            image, folders, function.architecture, sources or Sources(), Path(stage.asset_outdir)
        )
        self.variables = variables(
            environment=deployment.environment,
            model=model.name,
            function=function,
            inputs=inputs,
            cache=cache,
            others=others,
            cors_origins=cors_origins,
        )
        of_experiment = experiments.variables(experiment, deployment.environment) if experiment else {}
        self.own_variables = _within_limit(self.variables | of_experiment)
        self.timeout = cdk.Duration.seconds(function.timeout_seconds)
        # The id "Default" adds nothing to the logical IDs.
        self.container = ContainerFunction(
            self,
            "Default",
            deployment=deployment,
            name=deployment.name,
            description=f"Classifies images with {model.name}",
            image=self.image,
            command=HANDLER,
            memory_mib=function.memory_mib,
            timeout=self.timeout,
            environment=ALLOCATOR | self.own_variables,
            log_group_name=f"/aws/lambda/{deployment.name}",
            ephemeral_storage_mib=function.ephemeral_storage_mib,
            reserved_concurrency=function.reserved_concurrency,
        )
        self.function, self.role = self.container.function, self.container.role
        write_snap_start(self.function, enabled=function.snap_start)
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
        self._provisioned = scaling.provisioned if scaling else None
        self.alias = self.container.add_alias(
            ALIAS,
            description="What the API calls",
            provisioned=self._provisioned.min if self._provisioned else None,
        )
        if scaling:
            scale(self.alias, scaling)

    def monitor(self, monitoring: Monitoring) -> None:
        """Add alarms and graphs of the function's and Lambda's metrics."""
        alias = self.alias if self._provisioned else None
        add_function_alarms(
            monitoring,
            function=self.function,
            name=self._name,
            timeout=self.timeout,
            reserved_concurrency=self._reserved_concurrency,
        )
        if alias:
            add_spillover_alarm(monitoring, alias)
        for index, (model, own) in enumerate(self.metrics.items()):
            # The default model's alarms are named as those of a deployment with one model.
            of_model = f"-{model}" if index else ""
            add_fault_alarm(monitoring, own, of_model)
            add_image_alarm(monitoring, own, of_model)
            add_cold_start_alarm(monitoring, own, of_model)
            add_model_graphs(
                monitoring,
                own,
                cached=self._cached,
                by_version=self._by_version,
                title=model if len(self.metrics) > 1 else "",
            )
        add_function_graphs(
            monitoring,
            function=self.function,
            name=self._name,
            provisioned=alias,
            reserved_concurrency=self._reserved_concurrency,
        )


def classifier_image(
    settings: ImageSettings, models: Sequence[Path], architecture: ArchitectureName, sources: Sources, assembly: Path
) -> ContainerImage:
    """Return the image with these models, the default first: from ECR, or built from source."""
    if settings.source == "ecr":
        return EcrImage(architecture, settings.repository or "", settings.reference, settings.account)
    context, exclude = sources.build_context(models, assembly)
    several = {"MODELS": " ".join(model.name for model in models)} if len(models) > 1 else {}
    return BuiltImage(
        architecture,
        context,
        "function/Dockerfile",
        {"MODEL": models[0].name, **several, **build_args(settings.base, architecture, sources.base_lock)},
        exclude,
    )


def variables(
    *,
    environment: str,
    model: str,
    function: FunctionSettings,
    inputs: InputSettings,
    cache: CacheSettings | None = None,
    others: Sequence[ServedModel] = (),
    cors_origins: Sequence[str] = (),
) -> dict[str, str]:
    """Return the function's environment variables; `loupe.settings` parses them."""
    url = inputs.url
    values = {
        "LOUPE_ENVIRONMENT": environment,
        "LOUPE_MODEL": model,
        "LOUPE_MODELS": ",".join((model, *(item.name for item in others))) if others else "",
        "LOUPE_MODELS_AT_FIRST_USE": ",".join(item.name for item in others if item.load == "first-use"),
        "LOUPE_LOG_LEVEL": function.log_level,
        "LOUPE_METRICS_MAX_LABELS": str(function.metrics.max_labels),
        "LOUPE_METRICS_BY_VERSION": "true" if function.metrics.by_version else "false",
        "LOUPE_MAX_IMAGE_BYTES": str(inputs.max_image_bytes),
        "LOUPE_MAX_IMAGE_PIXELS": str(inputs.max_image_pixels),
        "LOUPE_FORMATS": ",".join(inputs.formats),
        "LOUPE_MAX_BATCH": str(inputs.max_batch),
        "LOUPE_S3_LOCATIONS": ",".join(inputs.s3.locations),
        "LOUPE_CACHE_MIB": str(cache.memory_mib) if cache and cache.memory_mib else "",
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
    """Raise SettingsError if Lambda would reject the total size of all variables at deployment."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in {**ALLOCATOR, **values}.items())
    if size > MAX_VARIABLES_BYTES - OTHER_VARIABLES_BYTES:
        raise SettingsError(
            f"The function's variables are {size} bytes, and Lambda takes {MAX_VARIABLES_BYTES} in all, of which "
            f"{OTHER_VARIABLES_BYTES} are kept for other components: shorten inputs.url.hosts, "
            "inputs.s3.locations, api.cors_origins or the names in experiment.arms."
        )
    return values
