"""The function's settings: the ``LOUPE_*`` environment, parsed once into a frozen tuple with names."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from loupe.card import NAME_PATTERN
from loupe.image import Limits
from loupe.sources.url import UrlRules
from loupe.variables import DEFAULT_PORTS, Network, SettingsError, Variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loupe.experiment import ExperimentRules
    from loupe.sources.s3 import S3Rules
    from loupe.sources.url import UrlPolicy

# `infra/settings/` accepts and rejects the same values: tests/variants/test_settings_equality.py.
URL_POLICIES = ("off", "allow-list", "public")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# Memory with which a Lambda function gets one whole vCPU (AWS Lambda developer guide, 'memory').
MIB_PER_VCPU = 1769
MAX_BATCH_LIMIT = 100
# Smallest and largest limit on one image, in bytes and in pixels.
IMAGE_BYTES_RANGE = (1024, 100 * 1024 * 1024)
IMAGE_PIXELS_RANGE = (10_000, 200_000_000)
MAX_URL_SECONDS = 20
MAX_METRICS_LABELS = 1000
MAX_CACHE_MIB = 1024

_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,19}")
# Networks from which no function on AWS may fetch: its own machine and its link.
_OWN_NETWORKS = ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10")


class MetricsRules(NamedTuple):
    """Which metrics have further dimensions: each value of one is a custom metric, which CloudWatch charges for.

    ``Label`` is a dimension for models of at most ``max_labels`` labels; ``by_version`` publishes every metric without
    a further dimension once more with ``ModelVersion`` and ``ModelVariant``. ``release`` is the number of the
    function's version if its alarms of a release watch metrics by version, else empty.
    """

    max_labels: int = 20
    by_version: bool = False
    release: str = ""


class Settings(NamedTuple):
    """The function's settings; with ``jobs`` its API also has the routes of bulk jobs.

    ``cache_bytes`` bounds the prediction cache (`loupe.cache`); 0 turns it off. ``models`` are all models of a
    deployment with several (`loupe.models`), the default ``model`` first; those of ``models_at_first_use`` are loaded
    by their first request. ``experiment`` splits requests that name no model between some of them (`loupe.experiment`).
    With ``shadow``, a sample of images goes to a challenger (`loupe.shadow.settings` has the rest).
    """

    environment: str
    model: str
    models_dir: Path
    url: UrlRules
    s3: S3Rules
    limits: Limits
    max_batch: int
    cors_origins: tuple[str, ...]
    log_level: str
    metrics: MetricsRules
    threads: int
    vcpus: float = 1.0
    jobs: bool = False
    cache_bytes: int = 0
    models: tuple[str, ...] = ()
    models_at_first_use: tuple[str, ...] = ()
    experiment: ExperimentRules | None = None
    shadow: bool = False

    @classmethod
    def from_environment(cls, variables: Mapping[str, str], default_models_dir: Path) -> Settings:
        """Parse the variables.

        Raises
        ------
        SettingsError
            For the first bad value; the cold start stops there.
        """
        read = Variables(variables)
        environment = read.text("LOUPE_ENVIRONMENT", "local")
        if not _ENVIRONMENT.fullmatch(environment):
            raise SettingsError(
                f"LOUPE_ENVIRONMENT is {environment!r} but must be a small letter, then small letters, digits and -, "
                "at most 20."
            )
        model = read.text("LOUPE_MODEL", "hair-type")
        if not NAME_PATTERN.fullmatch(model):
            raise SettingsError(f"LOUPE_MODEL is {model!r} but must be the name of a folder in models/.")
        models, models_at_first_use = _models(read, model)
        memory = read.integer("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MIB_PER_VCPU, 1)
        limits = Limits()
        return cls(
            environment=environment,
            model=model,
            models_dir=Path(read.text("LOUPE_MODELS_DIR", str(default_models_dir))),
            url=_url_rules(read, local=environment == "local"),
            s3=read.s3_rules(),
            limits=Limits(
                max_bytes=read.integer("LOUPE_MAX_IMAGE_BYTES", limits.max_bytes, *IMAGE_BYTES_RANGE),
                max_pixels=read.integer("LOUPE_MAX_IMAGE_PIXELS", limits.max_pixels, *IMAGE_PIXELS_RANGE),
                formats=read.formats("LOUPE_FORMATS"),
            ),
            max_batch=read.integer("LOUPE_MAX_BATCH", 32, 1, MAX_BATCH_LIMIT),
            cors_origins=read.origins("LOUPE_CORS_ORIGINS"),
            log_level=read.choice("LOUPE_LOG_LEVEL", LOG_LEVELS, "INFO"),
            metrics=MetricsRules(
                max_labels=read.integer("LOUPE_METRICS_MAX_LABELS", 20, 0, MAX_METRICS_LABELS),
                by_version=read.choice("LOUPE_METRICS_BY_VERSION", ("true", "false"), "false") == "true",
                release=(
                    read.text("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
                    if read.choice("LOUPE_METRICS_BY_RELEASE", ("true", "false"), "false") == "true"
                    else ""
                ),
            ),
            threads=read.integer("LOUPE_THREADS", max(1, round(memory / MIB_PER_VCPU)), 1),
            vcpus=memory / MIB_PER_VCPU,
            jobs=read.choice("LOUPE_JOBS", ("true", "false"), "false") == "true",
            models=models,
            models_at_first_use=models_at_first_use,
            experiment=_experiment(read, models),
            shadow=bool(read.text("LOUPE_SHADOW_FUNCTION_ARN", "")),
            cache_bytes=read.integer("LOUPE_CACHE_MIB", 0, 0, MAX_CACHE_MIB) * 1024 * 1024,
        )


def _models(read: Variables, default: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return all models and those that are loaded by their first request."""
    models, later = read.items("LOUPE_MODELS", ""), read.items("LOUPE_MODELS_AT_FIRST_USE", "")
    if models and (models[0] != default or len(set(models)) < len(models)):
        raise SettingsError(f"LOUPE_MODELS is {','.join(models)!r} but must begin with {default}, each model once.")
    if not all(NAME_PATTERN.fullmatch(name) for name in models):
        raise SettingsError(f"LOUPE_MODELS is {','.join(models)!r} but must hold names of folders in models/.")
    if not set(later) <= set(models[1:]):
        raise SettingsError(
            f"LOUPE_MODELS_AT_FIRST_USE is {','.join(later)!r} but must hold models of LOUPE_MODELS after the first."
        )
    return models, later


def _experiment(read: Variables, models: tuple[str, ...]) -> ExperimentRules | None:
    if not read.text("LOUPE_EXPERIMENT", ""):
        return None
    from loupe.experiment_settings import experiment_rules

    return experiment_rules(read, models)


def _url_rules(read: Variables, *, local: bool) -> UrlRules:
    policy = cast("UrlPolicy", read.choice("LOUPE_URL_POLICY", URL_POLICIES, "off"))
    hosts = read.hosts("LOUPE_URL_HOSTS")
    if policy == "allow-list" and not hosts:
        raise SettingsError("LOUPE_URL_POLICY is 'allow-list' but LOUPE_URL_HOSTS names no host.")
    if policy != "allow-list" and hosts:
        raise SettingsError(f"LOUPE_URL_HOSTS belongs to the policy 'allow-list'; LOUPE_URL_POLICY is {policy!r}.")
    schemes = read.items("LOUPE_URL_SCHEMES", "https")
    if not schemes or not set(schemes) <= DEFAULT_PORTS.keys():
        raise SettingsError(f"LOUPE_URL_SCHEMES is {','.join(schemes)!r} but must hold https, http or both.")
    ports = read.ports("LOUPE_URL_PORTS", "443,80" if "http" in schemes else "443")
    for scheme in schemes:
        if not set(ports) - {port for other, port in DEFAULT_PORTS.items() if other != scheme}:
            raise SettingsError(
                f"LOUPE_URL_SCHEMES has {scheme} but LOUPE_URL_PORTS has no port for it: add {DEFAULT_PORTS[scheme]}."
            )
    networks = read.networks("LOUPE_URL_PRIVATE_NETWORKS")
    if policy == "off" and networks:
        raise SettingsError("LOUPE_URL_PRIVATE_NETWORKS needs a policy other than 'off' in LOUPE_URL_POLICY.")
    own = [network for network in networks if any(_overlap(network, text) for text in _OWN_NETWORKS)]
    if own and not local:
        raise SettingsError(
            f"LOUPE_URL_PRIVATE_NETWORKS has {own[0]}, which reaches the function's own machine or link; name the "
            "private networks that hold images."
        )
    timeout = read.seconds("LOUPE_URL_TIMEOUT_SECONDS", 5.0, MAX_URL_SECONDS)
    return UrlRules(policy, hosts, schemes, ports, networks, timeout)


def _overlap(network: Network, text: str) -> bool:
    other = ipaddress.ip_network(text)
    # Networks of two versions cannot be compared.
    return network.version == other.version and network.overlaps(other)
