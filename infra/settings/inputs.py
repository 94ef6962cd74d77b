"""Settings of the images that the endpoint accepts: limits, formats, URLs, S3, uploads."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from infra.settings.base import Section, text
from infra.settings.hosts import DEFAULT_PORTS, Host

MIB = 1024 * 1024

# Without * ? and $, which IAM interprets as wildcards and variables.
Location = Annotated[
    str,
    text(
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/([^*?$,/\x00-\x1f\x7f]+/)+)?",
        "bucket or bucket/prefix/, with the slash at the end and without * ? or $",
    ),
]

# No function on AWS may fetch from its own machine or link.
OWN_NETWORKS = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10")))


class UrlSettings(Section):
    """Images by URL: off, from an allow-list of hosts, or from the public internet."""

    policy: Literal["off", "allow-list", "public"] = "off"
    hosts: tuple[Host, ...] = ()
    schemes: Annotated[tuple[Literal["https", "http"], ...], Field(min_length=1)] = ("https",)
    # Default: the default port of each scheme.
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

    @property
    def own_networks(self) -> tuple[str, ...]:
        """Private networks that overlap the function's own machine or link."""
        return tuple(network for network in self.private_networks if _overlaps_own(network))


class S3Settings(Section):
    """Readable locations in S3: ``bucket`` or ``bucket/prefix/``, with the slash at the end."""

    locations: tuple[Location, ...] = ()


class UploadSettings(Section):
    """``POST /v1/uploads``: images above the request size limit, through a bucket whose objects expire after a day."""

    enabled: bool = False
    valid_seconds: Annotated[int, Field(ge=60, le=3600)] = 300


# bmp and tiff are off by default; `loupe.formats` has the same list.
ImageFormat = Literal["jpeg", "png", "webp", "gif", "avif", "heic", "bmp", "tiff"]


class InputSettings(Section):
    """Limits of one image. API Gateway and Lambda accept about 4.5 MB of image in a request."""

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


def _overlaps_own(cidr: str) -> bool:
    network = ipaddress.ip_network(cidr)
    return any(own.version == network.version and own.overlaps(network) for own in OWN_NETWORKS)
