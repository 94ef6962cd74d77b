"""One environment's settings: typed, validated, every default written down here.

They stand in ``cdk.json`` under ``context.environments.<name>``; ``-c env=<name>`` chooses one. An environment may say
``"extends": "prod"``: it is a JSON merge patch (RFC 7386) over that one. So is, over either,
``-c settings='{"model": {"name": "course"}}'``.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError, field_validator, model_validator

from infra.settings_auth import AuthSettings, ClientPlan
from infra.settings_base import Digest, RepositoryName, Section, mutable_tag, text
from infra.settings_firewall import FirewallSettings
from infra.settings_network import NetworkSettings
from infra.settings_protection import ProtectionSettings
from infra.settings_scaling import ScalingSettings

PROJECT_ROOT = Path(__file__).resolve().parent.parent
# API Gateway gives an integration 29 s; the function must end before, so that its own answer is the one that arrives.
MAX_SYNC_SECONDS = 28
MIB = 1024 * 1024
DEFAULT_PORTS = {"https": 443, "http": 80}

# `loupe.settings` accepts and rejects the same values of what becomes a `LOUPE_*` variable:
# tests/infra/test_settings_equality.py.
_HOST = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
Host = Annotated[
    str,
    text(
        rf"(?=.{{1,253}}$)(\*\.)?{_HOST}", "a host name in small letters, such as images.example.com or *.example.org"
    ),
]
# Without * ? and $, which IAM would take for wildcards and variables.
Location = Annotated[
    str,
    text(
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/([^*?$,/\x00-\x1f\x7f]+/)+)?",
        "bucket or bucket/prefix/, with the slash at the end and without * ? or $",
    ),
]

# What no function on AWS may fetch from: itself, and what is on its link.
OWN_NETWORKS = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10")))


class SettingsError(ValueError):
    """Settings that cannot be deployed. The message has a line for each, with the key's path."""


class ModelSettings(Section):
    """Which model is served: a folder of ``models/``."""

    name: Annotated[
        str, text(r"[a-z0-9][a-z0-9._-]{0,62}", "the name of a folder in models/: small letters, digits, . _ -")
    ] = "hair-type"


class ImageSettings(Section):
    """Where the container image comes from: built from this repository, or pushed to ECR by a pipeline."""

    source: Literal["asset", "ecr"] = "asset"
    repository: RepositoryName | None = None
    # A tag can be moved to another image; only the local cloud, whose tags are digests, takes one.
    digest: Digest | None = None
    tag: Annotated[str, text(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", "a tag of an image")] | None = None
    # An image that holds the model's files in its working directory, in place of the AWS base.
    base: str | None = None
    # Builds fail without the base image's digest: function/base-image.lock, which `make lock-base` writes.
    require_locked_base: bool = False

    @property
    def reference(self) -> str:
        """The digest, or the local cloud's tag."""
        return self.digest or self.tag or ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.source == "ecr" and not (self.repository and self.reference):
            raise ValueError("source 'ecr' needs repository and digest")
        if self.digest and self.tag:
            raise ValueError("digest and tag exclude each other: the digest names the image")
        if self.source == "asset" and (self.repository or self.reference):
            raise ValueError("repository, digest and tag belong to source 'ecr'")
        if self.source == "ecr" and self.base:
            raise ValueError("base belongs to source 'asset': an image from ECR is built already")
        return self


class MetricsSettings(Section):
    """Dimensions of the function's own metrics. CloudWatch charges for each metric with each of its values."""

    max_labels: Annotated[int, Field(ge=0, le=1000)] = 20
    by_version: bool = False


class TraceSamplingSettings(Section):
    """Which requests of the API X-Ray records: so many a second, and a share of the rest."""

    rate: Annotated[float, Field(ge=0, le=1)] = 0.05
    per_second: Annotated[int, Field(ge=0, le=10_000)] = 1
    # The matching rule with the lowest number decides; the account's Default has 10000.
    priority: Annotated[int, Field(ge=1, le=9_999)] = 1_000


class FunctionSettings(Section):
    """The Lambda function. ``memory_mib`` also buys CPU: 1769 MiB is one vCPU."""

    memory_mib: Annotated[int, Field(ge=256, le=10240)] = 1769
    timeout_seconds: Annotated[int, Field(ge=1, le=MAX_SYNC_SECONDS)] = 15
    ephemeral_storage_mib: Annotated[int, Field(ge=512, le=10240)] = 512
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    reserved_concurrency: Annotated[int, Field(ge=1)] | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731] = 30
    tracing: bool = True
    # Without it the account's own sampling rules apply: one request a second and 5 % of the rest, unless changed there.
    trace_sampling: TraceSamplingSettings | None = None
    metrics: MetricsSettings = MetricsSettings()


def _origin(value: str) -> str:
    match = re.fullmatch(rf"(?P<scheme>https?)://({_HOST}|\[[0-9a-f:]+\])(:(?P<port>[1-9][0-9]{{0,4}}))?", value)
    port = int(match["port"] or 0) if match else 0
    if value != "*" and (match is None or port > 65535 or port == DEFAULT_PORTS[match["scheme"]]):
        raise ValueError(
            "must be * or an origin as browsers send it, such as https://example.com or http://localhost:5173: small "
            f"letters, no default port, no slash at the end (it is {value!r})"
        )
    return value


class UrlSettings(Section):
    """Pictures by URL: not at all, from hosts on a list, or from the public internet."""

    policy: Literal["off", "allow-list", "public"] = "off"
    hosts: tuple[Host, ...] = ()
    schemes: Annotated[tuple[Literal["https", "http"], ...], Field(min_length=1)] = ("https",)
    # Unless given: the default port of each scheme.
    ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(min_length=1)] = Field(
        default_factory=lambda values: (443, 80) if "http" in values.get("schemes", ()) else (443,)
    )
    private_networks: tuple[str, ...] = ()
    timeout_seconds: Annotated[float, Field(gt=0, le=20)] = 5.0

    @field_validator("private_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            if "%" in network:
                raise ValueError(f"must be networks without a zone (it is {network!r})")
            ipaddress.ip_network(network)
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for scheme in self.schemes:
            if not set(self.ports) - {port for other, port in DEFAULT_PORTS.items() if other != scheme}:
                raise ValueError(f"schemes has {scheme} but ports has no port for it: add {DEFAULT_PORTS[scheme]}")
        if self.policy == "allow-list" and not self.hosts:
            raise ValueError("policy 'allow-list' needs hosts")
        if self.policy != "allow-list" and self.hosts:
            raise ValueError("hosts belong to policy 'allow-list'")
        if self.policy == "off" and self.private_networks:
            raise ValueError("private_networks need a policy other than 'off'")
        return self


class S3Settings(Section):
    """Pictures in S3 that may be read: ``bucket`` or ``bucket/prefix/``, the slash at its end included."""

    locations: tuple[Location, ...] = ()


class UploadSettings(Section):
    """``POST /v1/uploads``: pictures bigger than a request, by way of a bucket that is emptied after a day."""

    enabled: bool = False
    valid_seconds: Annotated[int, Field(ge=60, le=3600)] = 300


# bmp and tiff are read on request only; `loupe.formats` has the same list.
ImageFormat = Literal["jpeg", "png", "webp", "gif", "avif", "heic", "bmp", "tiff"]


class InputSettings(Section):
    """Limits on one picture. API Gateway and Lambda let about 4.5 MB of picture through in a request."""

    max_image_bytes: Annotated[int, Field(ge=1024, le=100 * MIB)] = 10 * MIB
    max_image_pixels: Annotated[int, Field(ge=10_000, le=200_000_000)] = 25_000_000
    formats: Annotated[tuple[ImageFormat, ...], Field(min_length=1)] = (
        "jpeg", "png", "webp", "gif", "avif", "heic"
    )  # fmt: skip
    max_batch: Annotated[int, Field(ge=1, le=100)] = 32
    url: UrlSettings = UrlSettings()
    s3: S3Settings = S3Settings()
    uploads: UploadSettings = UploadSettings()

    @field_validator("formats")
    @classmethod
    def _formats(cls, value: tuple[ImageFormat, ...]) -> tuple[ImageFormat, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must name each format once")
        return value


class ApiSettings(Section):
    """The REST API. API Gateway throttles each method of the stage by itself, all its callers together."""

    stage: Annotated[str, text(r"[A-Za-z0-9_]{1,64}", "letters, digits and _, at most 64")] = "live"
    # API Gateway writes no log before its account has a role for it, one for each region. The stack makes and leaves
    # one; false where the account has it already (a landing zone's, say).
    account_log_role: bool = True
    rate_limit: Annotated[float, Field(gt=0, le=10_000)] = 50.0
    burst_limit: Annotated[int, Field(ge=1, le=5_000)] = 100
    # Of each method without credentials, preflights included: strangers must not take the function's concurrency from
    # callers. Without a burst: the largest that `infra.throttles` allows.
    open_rate_limit: Annotated[float, Field(gt=0, le=10_000)] = 5.0
    open_burst_limit: Annotated[int, Field(ge=1, le=5_000)] | None = None
    # API Gateway's metrics of each method, beside those of the stage. Each is a custom metric, which is paid.
    method_metrics: bool = False
    cors_origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()

    @model_validator(mode="after")
    def _origins(self) -> Self:
        if "*" in self.cors_origins and len(self.cors_origins) > 1:
            raise ValueError("cors_origins has * and others; * alone allows them all")
        return self


class AlarmSettings(Section):
    """When somebody is told. Rates are shares of requests: 0.05 is 5 %."""

    enabled: bool = True
    subscriptions: tuple[Annotated[str, text(r"[^@\s]+@[^@\s]+", "an e-mail address")], ...] = ()
    period_seconds: Literal[10, 30, 60, 300] = 60
    evaluation_periods: Annotated[int, Field(ge=1, le=60)] = 5
    function_error_rate: Annotated[float, Field(gt=0, le=1)] = 0.02
    throttles: Annotated[int, Field(ge=1)] = 5
    duration_share_of_timeout: Annotated[float, Field(gt=0, le=1)] = 0.8
    concurrency_share_of_reserve: Annotated[float, Field(gt=0, le=1)] = 0.9
    # Requests and batch items that the function itself answers with a 5xx, over all routes and direct invocations.
    server_fault_rate: Annotated[float, Field(gt=0, le=1)] = 0.02
    api_error_rate: Annotated[float, Field(gt=0, le=1)] = 0.02
    api_latency_p99_ms: Annotated[int, Field(ge=1)] = 5_000
    undecodable_rate: Annotated[float, Field(gt=0, le=1)] = 0.25


class Settings(Section):
    """One environment."""

    environment: Annotated[
        str, text(r"[a-z][a-z0-9-]{0,19}", "a small letter, then small letters, digits and -, at most 20")
    ]
    account: Annotated[str, text(r"\d{12}", "the account's 12 digits, as text")] | None = None
    region: Annotated[str, text(r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-central-1")] | None = None
    model: ModelSettings = ModelSettings()
    image: ImageSettings = ImageSettings()
    function: FunctionSettings = FunctionSettings()
    inputs: InputSettings = InputSettings()
    api: ApiSettings = ApiSettings()
    auth: AuthSettings = AuthSettings()
    network: NetworkSettings = NetworkSettings()
    firewall: FirewallSettings = FirewallSettings()
    alarms: AlarmSettings = AlarmSettings()
    scaling: ScalingSettings = ScalingSettings()
    protection: ProtectionSettings = ProtectionSettings()
    tags: dict[str, str] = Field(default_factory=dict)

    @property
    def clients(self) -> dict[str, ClientPlan]:
        """Clients with API keys and the limits that hold for them."""
        return self.auth.plans(self.api.rate_limit, self.api.burst_limit)

    @property
    def local(self) -> bool:
        """Whether this is the local cloud, which has no image builds and carries less than AWS."""
        return self.environment == "local"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        url = self.inputs.url
        if url.policy != "off" and url.timeout_seconds >= self.function.timeout_seconds:
            raise ValueError("inputs.url.timeout_seconds must be below function.timeout_seconds, or no answer is given")
        own = [item for item in url.private_networks if _overlaps_own(item)]
        if own and not self.local:
            raise ValueError(
                f"inputs.url.private_networks has {own[0]}, which reaches the function's own machine or link; "
                "name the private networks that hold pictures"
            )
        if self.alarms.period_seconds < 60 and not self.local:
            raise ValueError("alarms.period_seconds below 60 never sees AWS/Lambda metrics, which come once a minute")
        if self.function.trace_sampling is not None and not self.function.tracing:
            raise ValueError("function.trace_sampling needs function.tracing; without it nothing is recorded")
        self._check_scaling()
        if refused := self.auth.refused(self.environment, self.api.rate_limit, self.api.burst_limit):
            raise ValueError(refused)
        if refused := self.network.refused(self.region, local=self.local):
            raise ValueError(refused)
        if refused := self.firewall.refused(
            self.clients, private=self.network.private_endpoint is not None, local=self.local
        ):
            raise ValueError(refused)
        if refused := self.protection.refused(
            self.region, self.tags, self.function.reserved_concurrency, firewall=self.firewall.enabled
        ):
            raise ValueError(refused)
        if self.image.tag and not self.local:
            raise ValueError(mutable_tag("image", self.image.repository or "", self.image.tag))
        if self.image.source == "asset" and self.local:
            raise ValueError("image.source must be 'ecr' in the local cloud, which builds no images")
        return self

    def _check_scaling(self) -> None:
        reserved = self.function.reserved_concurrency
        above = None if reserved is None else self.scaling.above(reserved)
        if above:
            raise ValueError(f"{above} is above function.reserved_concurrency ({reserved}), of which it is a part")
        if self.scaling.provisioned is not None and self.local:
            raise ValueError("scaling.provisioned is not carried by the local cloud; leave it out there")
        if self.function.trace_sampling is not None and self.local:
            raise ValueError("function.trace_sampling is not carried by the local cloud; leave it out there")


def _overlaps_own(item: str) -> bool:
    network = ipaddress.ip_network(item)
    return any(own.version == network.version and own.overlaps(network) for own in OWN_NETWORKS)


def load_settings(
    context: Mapping[str, Any],
    name: str,
    patch: str | Mapping[str, Any] | None = None,
    *,
    environment: str | None = None,
) -> Settings:
    """Read an environment from the context of ``cdk.json``.

    Parameters
    ----------
    context
        ``{"environments": {name: {...}}}``.
    name
        The environment.
    patch
        JSON merge patch, as text or parsed.
    environment
        Name of the deployed environment, if it is a copy of ``name`` beside it: ``-c name=...``.

    Raises
    ------
    SettingsError
        With a line for each wrong key: its path, what is wrong and what is allowed.
    """
    environments = context.get("environments")
    if not isinstance(environments, dict) or name not in environments:
        known = ", ".join(sorted(environments)) if isinstance(environments, dict) else "none"
        raise SettingsError(f"cdk.json has no environment {name!r}. Choose one with -c env=...: {known}.")
    values: Any = _extended(environments, name, ())
    if patch:
        try:
            values = merge_patch(values, json.loads(patch) if isinstance(patch, str) else dict(patch))
        except ValueError as error:
            raise SettingsError(f"-c settings=... is not valid JSON: {error}.") from None
    if not isinstance(values, dict):
        raise SettingsError(f"environments.{name} in cdk.json must be an object.")
    if "environment" in values:
        raise SettingsError(f"environments.{name}.environment: the key {name!r} above it is the environment's name.")
    if "local" in (name, environment) and environment not in (None, name):
        raise SettingsError("-c name=... makes a copy of an environment on AWS: neither may be 'local'.")
    try:
        # By way of JSON: lists become tuples there, and nothing else is converted.
        return Settings.model_validate_json(json.dumps({**values, "environment": environment or name}))
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(name, item) for item in _causes(error))) from None


def _extended(environments: Mapping[str, Any], name: str, heirs: tuple[str, ...]) -> Any:
    """An environment's values over those of the one that it extends."""
    values = environments[name]
    if not isinstance(values, dict) or "extends" not in values:
        return values
    base, heirs = values["extends"], (*heirs, name)
    if not isinstance(base, str) or base not in environments:
        known = ", ".join(sorted(set(environments) - {name}))
        raise SettingsError(f"environments.{name}.extends: must be another environment: {known} (it is {base!r}).")
    if base in heirs:
        raise SettingsError(f"environments.{name}.extends: {' extends '.join((*heirs, base))}, which never ends.")
    return merge_patch(
        _extended(environments, base, heirs), {key: value for key, value in values.items() if key != "extends"}
    )


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386): null deletes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _causes(error: ValidationError) -> list[Any]:
    """Leave out what follows from another error: a default that needs its value, a list without its wrong items."""
    errors = error.errors(include_url=False)
    wrong = {item["loc"][:-1] for item in errors}
    return [
        item
        for item in errors
        if item["type"] != "default_factory_not_called" and not (item["type"] == "too_short" and item["loc"] in wrong)
    ]


def _sentence(name: str, error: Any) -> str:
    path = ".".join(["environments", name, *(str(part) for part in error["loc"])])
    if error["type"] == "extra_forbidden":
        keys = ", ".join(_known_keys(error["loc"][:-1]))
        return f"{path}: there is no such key. Known here: {keys}."
    if error["type"] == "too_short":
        return f"{path}: must have at least {error['ctx']['min_length']} (it has {error['ctx']['actual_length']})."
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = "" if error["type"] == "value_error" or isinstance(error["input"], dict) else f" (it is {error['input']!r})"
    return f"{path}: {message}{given}."


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location:
        # What is no field is a name that the settings' writer chose, or a place in a list.
        if field := model.model_fields.get(str(part)):
            section = _section(field.annotation)
            if section is None:
                return []
            model = section
    return sorted(set(model.model_fields) - {"environment"})


def _section(annotation: Any) -> type[BaseModel] | None:
    """Find the section in an annotation such as ``dict[str, Section]`` or ``Section | None``."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    return next(filter(None, map(_section, get_args(annotation))), None)
