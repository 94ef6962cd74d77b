"""The function's settings: the ``LOUPE_*`` environment, parsed once into a frozen tuple with names."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from loupe.card import NAME_PATTERN
from loupe.formats import DEFAULT_FORMATS, FORMATS
from loupe.image import Limits
from loupe.locations import S3Location, S3Rules, bucket_origins

if TYPE_CHECKING:
    from collections.abc import Mapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UrlPolicy = Literal["off", "allow-list", "public"]

# `infra/settings.py` accepts and rejects the same values: tests/infra/test_settings_equality.py.
URL_POLICIES = ("off", "allow-list", "public")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
DEFAULT_PORTS = {"https": 443, "http": 80}
# What a Lambda function's memory must reach to get one whole vCPU (AWS Lambda developer guide, 'memory').
MIB_PER_VCPU = 1769
MAX_BATCH_LIMIT = 100
# Smallest and largest limit on one image, in bytes and in pixels.
IMAGE_BYTES_RANGE = (1024, 100 * 1024 * 1024)
IMAGE_PIXELS_RANGE = (10_000, 200_000_000)
MAX_URL_SECONDS = 20
MAX_METRICS_LABELS = 1000

_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,19}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# What IAM takes for a wildcard or a variable (* ? $) would grant more than is compared here.
_LOCATION = re.compile(rf"{_BUCKET.pattern}(/([^*?$,/\x00-\x1f\x7f]+/)+)?")
_HOST = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
_HOST_PATTERN = re.compile(rf"(\*\.)?{_HOST}")
_ORIGIN = re.compile(rf"(?P<scheme>https?)://({_HOST}|\[[0-9a-f:]+\])(:(?P<port>[1-9][0-9]{{0,4}}))?")
_MAX_HOST = 253
# What no function on AWS may fetch from: its own machine and its link.
_OWN_NETWORKS = ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10")


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
    vcpus: float = 1.0

    @classmethod
    def from_environment(cls, variables: Mapping[str, str], default_models_dir: Path) -> Settings:
        """Parse the variables.

        Raises
        ------
        SettingsError
            For the first bad value; the cold start stops there.
        """
        read = _Variables(variables)
        environment = read.text("LOUPE_ENVIRONMENT", "local")
        if not _ENVIRONMENT.fullmatch(environment):
            raise SettingsError(
                f"LOUPE_ENVIRONMENT is {environment!r} but must be a small letter, then small letters, digits and -, "
                "at most 20."
            )
        model = read.text("LOUPE_MODEL", "hair-type")
        if not NAME_PATTERN.fullmatch(model):
            raise SettingsError(f"LOUPE_MODEL is {model!r} but must be the name of a folder in models/.")
        upload_bucket = read.bucket("LOUPE_UPLOAD_BUCKET")
        s3_endpoint = read.text("AWS_ENDPOINT_URL_S3", read.text("AWS_ENDPOINT_URL", ""))
        memory = read.integer("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MIB_PER_VCPU, 1)
        limits = Limits()
        return cls(
            environment=environment,
            model=model,
            models_dir=Path(read.text("LOUPE_MODELS_DIR", str(default_models_dir))),
            url=_url_rules(read, local=environment == "local"),
            s3=S3Rules(
                locations=read.locations("LOUPE_S3_LOCATIONS"),
                upload_bucket=upload_bucket,
                upload_seconds=read.integer("LOUPE_UPLOAD_SECONDS", 300, 60, 3600),
                timeout_seconds=read.seconds("LOUPE_S3_TIMEOUT_SECONDS", 5.0, 900),
                upload_origins=bucket_origins(upload_bucket, read.text("AWS_REGION", ""), s3_endpoint),
            ),
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
            ),
            threads=read.integer("LOUPE_THREADS", max(1, round(memory / MIB_PER_VCPU)), 1),
            vcpus=memory / MIB_PER_VCPU,
        )


def _url_rules(read: _Variables, *, local: bool) -> UrlRules:
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


class _Variables:
    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str) -> str:
        return self._variables.get(name, "").strip() or default

    def formats(self, name: str) -> tuple[str, ...]:
        items = self.items(name, ",".join(DEFAULT_FORMATS))
        unknown = [item for item in items if item not in FORMATS]
        if unknown or not items or len(set(items)) < len(items):
            raise SettingsError(
                f"{name} is {','.join(items)!r} but must hold some of {', '.join(FORMATS)}, each once, with commas "
                "between."
            )
        return items

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

    def seconds(self, name: str, default: float, most: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number <= most:
            raise SettingsError(f"{name} is {value!r} but must be a number of seconds above 0, at most {most:g}.")
        return number

    def items(self, name: str, default: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in self.text(name, default).split(",") if item.strip())

    def ports(self, name: str, default: str) -> tuple[int, ...]:
        items = self.items(name, default)
        if not items or not all(_is_port(item) for item in items):
            raise SettingsError(f"{name} is {','.join(items)!r} but must be port numbers with commas between.")
        return tuple(int(item) for item in items)

    def hosts(self, name: str) -> tuple[str, ...]:
        items = self.items(name, "")
        for item in items:
            if len(item) > _MAX_HOST or not _HOST_PATTERN.fullmatch(item):
                raise SettingsError(
                    f"{name} has {item!r} but must hold host names in small letters, such as images.example.com or "
                    "*.example.org, with commas between."
                )
        return items

    def networks(self, name: str) -> tuple[Network, ...]:
        try:
            if "%" in self.text(name, ""):
                raise ValueError("a network has no zone (%)")
            return tuple(ipaddress.ip_network(item) for item in self.items(name, ""))
        except ValueError as error:
            raise SettingsError(f"{name} must be networks such as 10.0.0.0/8, with commas between: {error}.") from None

    def bucket(self, name: str) -> str:
        value = self.text(name, "")
        if value and not _BUCKET.fullmatch(value):
            raise SettingsError(f"{name} is {value!r} but must be the name of an S3 bucket.")
        return value

    def locations(self, name: str) -> tuple[S3Location, ...]:
        items = self.items(name, "")
        for item in items:
            # Without the slash, 'photos' would also open 'photos-of-others/'.
            if not _LOCATION.fullmatch(item):
                raise SettingsError(
                    f"{name} has {item!r} but must hold bucket or bucket/prefix/ (with a slash at the end and without "
                    "* ? or $), with commas between."
                )
        return tuple(S3Location(bucket, prefix) for bucket, _, prefix in (item.partition("/") for item in items))

    def origins(self, name: str) -> tuple[str, ...]:
        items = self.items(name, "")
        for item in items:
            if item != "*" and not _is_origin(item):
                raise SettingsError(
                    f"{name} has {item!r} but must be *, or origins as a browser sends them, such as "
                    "https://example.com or http://localhost:5173: small letters, no default port, no slash at the "
                    "end; with commas between."
                )
        if "*" in items and len(items) > 1:
            raise SettingsError(f"{name} has * and other origins; * alone allows them all.")
        return items


def _is_port(text: str) -> bool:
    return len(text) <= 5 and text.isascii() and text.isdigit() and 0 < int(text) < 65536


def _is_origin(text: str) -> bool:
    """Whether a browser could send this in ``Origin``: it leaves a scheme's default port out (HTML standard)."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return False
    port = int(match["port"] or 0)
    return port < 65536 and port != DEFAULT_PORTS[match["scheme"]]
