"""The function's settings: the ``LOUPE_*`` environment, parsed once into a frozen tuple with names."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from loupe.card import NAME_PATTERN
from loupe.image import Limits
from loupe.locations import S3Location, S3Rules, bucket_origins

if TYPE_CHECKING:
    from collections.abc import Mapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UrlPolicy = Literal["off", "allow-list", "public"]

URL_POLICIES = ("off", "allow-list", "public")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# What a Lambda function's memory must reach to get one whole vCPU (AWS Lambda developer guide, 'memory').
MIB_PER_VCPU = 1769
MAX_BATCH_LIMIT = 256
MAX_METRICS_LABELS = 1000

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|http://\[[0-9a-f:]+\](:[0-9]{1,5})?")


class SettingsError(ValueError):
    """A bad value. The message names the variable, the value and what is allowed."""


class UrlRules(NamedTuple):
    """Which URLs may be fetched; see `loupe.url`."""

    policy: UrlPolicy = "off"
    hosts: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ("https",)
    ports: tuple[int, ...] = (443,)
    private_networks: tuple[Network, ...] = ()
    timeout_seconds: float = 5.0
    max_redirects: int = 3


class MetricsRules(NamedTuple):
    """Which metrics have further dimensions: each value of one is a custom metric, which CloudWatch charges for.

    ``Label`` is a dimension for models of at most ``max_labels`` labels; ``by_version`` publishes every metric without
    a further dimension once more with ``ModelVersion`` and ``ModelVariant``.
    """

    max_labels: int = 20
    by_version: bool = False


class Settings(NamedTuple):
    """All that the function is told from outside."""

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

    @classmethod
    def from_environment(cls, variables: Mapping[str, str], default_models_dir: Path) -> Settings:
        """Parse the variables.

        Raises
        ------
        SettingsError
            For the first bad value; the cold start stops there.
        """
        read = _Variables(variables)
        model = read.text("LOUPE_MODEL", "hair-type")
        if not NAME_PATTERN.fullmatch(model):
            raise SettingsError(f"LOUPE_MODEL is {model!r} but must be the name of a folder in models/.")
        policy = cast("UrlPolicy", read.choice("LOUPE_URL_POLICY", URL_POLICIES, "off"))
        schemes = read.items("LOUPE_URL_SCHEMES", "https")
        if not set(schemes) <= {"https", "http"}:
            raise SettingsError(f"LOUPE_URL_SCHEMES is {','.join(schemes)!r} but may hold https and http only.")
        hosts = tuple(host.lower() for host in read.items("LOUPE_URL_HOSTS", ""))
        if policy == "allow-list" and not hosts:
            raise SettingsError("LOUPE_URL_POLICY is 'allow-list' but LOUPE_URL_HOSTS names no host.")
        upload_bucket = read.bucket("LOUPE_UPLOAD_BUCKET")
        s3_endpoint = read.text("AWS_ENDPOINT_URL_S3", read.text("AWS_ENDPOINT_URL", ""))
        memory = read.integer("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MIB_PER_VCPU, 1)
        limits = Limits()
        return cls(
            environment=read.text("LOUPE_ENVIRONMENT", "local"),
            model=model,
            models_dir=Path(read.text("LOUPE_MODELS_DIR", str(default_models_dir))),
            url=UrlRules(
                policy=policy,
                hosts=hosts,
                schemes=schemes,
                ports=read.ports("LOUPE_URL_PORTS", "443,80" if "http" in schemes else "443"),
                private_networks=read.networks("LOUPE_URL_PRIVATE_NETWORKS"),
                timeout_seconds=read.number("LOUPE_URL_TIMEOUT_SECONDS", 5.0),
            ),
            s3=S3Rules(
                locations=read.locations("LOUPE_S3_LOCATIONS"),
                upload_bucket=upload_bucket,
                upload_seconds=read.integer("LOUPE_UPLOAD_SECONDS", 300, 60, 3600),
                timeout_seconds=read.number("LOUPE_S3_TIMEOUT_SECONDS", 5.0),
                upload_origins=bucket_origins(upload_bucket, read.text("AWS_REGION", ""), s3_endpoint),
            ),
            limits=Limits(
                max_bytes=read.integer("LOUPE_MAX_IMAGE_BYTES", limits.max_bytes, 1),
                max_pixels=read.integer("LOUPE_MAX_IMAGE_PIXELS", limits.max_pixels, 1),
            ),
            max_batch=read.integer("LOUPE_MAX_BATCH", 32, 1, MAX_BATCH_LIMIT),
            cors_origins=read.origins("LOUPE_CORS_ORIGINS"),
            log_level=read.choice("LOUPE_LOG_LEVEL", LOG_LEVELS, "INFO"),
            metrics=MetricsRules(
                max_labels=read.integer("LOUPE_METRICS_MAX_LABELS", 20, 0, MAX_METRICS_LABELS),
                by_version=read.choice("LOUPE_METRICS_BY_VERSION", ("true", "false"), "false") == "true",
            ),
            threads=read.integer("LOUPE_THREADS", max(1, round(memory / MIB_PER_VCPU)), 1),
        )


class _Variables:
    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str) -> str:
        return self._variables.get(name, "").strip() or default

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise SettingsError(f"{name} is {value!r} but must be one of {', '.join(allowed)}.")
        return value

    def integer(self, name: str, default: int, least: int, most: int = 10**12) -> int:
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            bounds = f"of at least {least}" if most == 10**12 else f"from {least} to {most}"
            raise SettingsError(f"{name} is {value!r} but must be a whole number {bounds}.")
        return int(value)

    def number(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < 900:
            raise SettingsError(f"{name} is {value!r} but must be a number of seconds above 0 and below 900.")
        return number

    def items(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in self.text(name, default).split(",") if item.strip())

    def ports(self, name: str, default: str) -> tuple[int, ...]:
        items = self.items(name, default)
        if not all(item.isascii() and item.isdigit() and 0 < int(item) < 65536 for item in items):
            raise SettingsError(f"{name} is {','.join(items)!r} but must be port numbers with commas between.")
        return tuple(int(item) for item in items)

    def networks(self, name: str) -> tuple[Network, ...]:
        try:
            return tuple(ipaddress.ip_network(item) for item in self.items(name, ""))
        except ValueError as error:
            raise SettingsError(f"{name} must be networks such as 10.0.0.0/8, with commas between: {error}.") from None

    def bucket(self, name: str) -> str:
        value = self.text(name, "")
        if value and not _BUCKET.fullmatch(value):
            raise SettingsError(f"{name} is {value!r} but must be the name of an S3 bucket.")
        return value

    def locations(self, name: str) -> tuple[S3Location, ...]:
        found = []
        for item in self.items(name, ""):
            bucket, _, prefix = item.partition("/")
            # Without the slash, 'photos' would also open 'photos-of-others/'.
            if not _BUCKET.fullmatch(bucket) or (prefix and not prefix.endswith("/")) or "*" in prefix:
                raise SettingsError(
                    f"{name} has {item!r} but must hold bucket or bucket/prefix/ (with a slash at the end), "
                    "with commas between."
                )
            found.append(S3Location(bucket, prefix))
        return tuple(found)

    def origins(self, name: str) -> tuple[str, ...]:
        items = self.items(name, "")
        for item in items:
            if item != "*" and not _ORIGIN.fullmatch(item):
                raise SettingsError(
                    f"{name} has {item!r} but must be *, or origins such as https://example.com, with commas between."
                )
        if "*" in items and len(items) > 1:
            raise SettingsError(f"{name} has * and other origins; * alone allows them all.")
        return items
