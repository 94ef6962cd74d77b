"""Settings of network access: IP allow-list, private endpoint, custom domain, mutual TLS."""

from __future__ import annotations

import ipaddress
from itertools import combinations
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from infra.settings.base import Section, text

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DomainName = Annotated[str, text(rf"({_LABEL}\.)+{_LABEL}", "a domain name in small letters, such as api.example.com")]


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError(f"must be a network such as 198.51.100.0/24 or 2001:db8::/32: {error}") from None


class MutualTlsSettings(Section):
    """Clients present a certificate that an authority of the truststore has signed."""

    truststore: Annotated[
        str, text(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+\.pem", "a PEM file on S3: s3://bucket/key.pem")
    ]
    # Version of the S3 object: without it a new file is used only after this stack changes.
    version: Annotated[str, Field(min_length=1)] | None = None

    @property
    def bucket(self) -> str:
        return self.truststore.removeprefix("s3://").partition("/")[0]

    @property
    def key(self) -> str:
        return self.truststore.removeprefix("s3://").partition("/")[2]


class DomainSettings(Section):
    """A custom domain. Its certificate must exist; DNS records are created if the hosted zone is given."""

    name: DomainName
    certificate_arn: Annotated[
        str, text(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[A-Za-z0-9-]+", "the ARN of a certificate in ACM")
    ]
    hosted_zone_id: Annotated[str, text(r"[A-Z0-9]{1,32}", "a hosted zone's ID, such as Z0123456789ABC")] | None = None
    hosted_zone_name: DomainName | None = None
    mutual_tls: MutualTlsSettings | None = None
    # Also keep the address under execute-api, which does not check client certificates.
    keep_default_endpoint: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.hosted_zone_id is None) != (self.hosted_zone_name is None):
            raise ValueError("hosted_zone_id and hosted_zone_name belong together: give both, or none for your own DNS")
        zone = self.hosted_zone_name
        if zone is not None and self.name != zone and not self.name.endswith(f".{zone}"):
            raise ValueError(f"name {self.name} is not in the zone {zone}")
        if self.mutual_tls is not None and self.keep_default_endpoint:
            raise ValueError("keep_default_endpoint would be a way around mutual_tls; leave it out")
        return self

    @property
    def certificate_region(self) -> str:
        return self.certificate_arn.split(":")[3]


class PrivateEndpointSettings(Section):
    """Access from VPCs only, through existing interface endpoints for ``execute-api``."""

    vpc_endpoint_ids: Annotated[
        tuple[Annotated[str, text(r"vpce-[0-9a-f]{8,17}", "an endpoint's ID, such as vpce-0123456789abcdef0")], ...],
        Field(min_length=1),
    ]


class NetworkSettings(Section):
    """By default the API is on the internet, at its address under execute-api."""

    # With a private endpoint: addresses within the VPC.
    allowed_cidrs: tuple[Annotated[str, AfterValidator(_cidr)], ...] = ()
    private_endpoint: PrivateEndpointSettings | None = None
    domain: DomainSettings | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.private_endpoint is not None and self.domain is not None:
            raise ValueError("private_endpoint and domain exclude each other: the domain would be one on the internet")
        networks = [ipaddress.ip_network(cidr) for cidr in self.allowed_cidrs]
        for first, second in combinations(networks, 2):
            if first.version == second.version and first.overlaps(second):
                raise ValueError(f"allowed_cidrs has {first} and {second}, which overlap; the larger one is enough")
        return self

    @property
    def ipv6(self) -> bool:
        """Whether clients may use IPv6 in addition to IPv4."""
        return self.domain is not None or any(":" in cidr for cidr in self.allowed_cidrs)

    def conflict(self, region: str | None, *, local: bool) -> str | None:
        """Return how it conflicts with other sections of the environment, or None."""
        if local and self.model_fields_set:
            return f"network.{min(self.model_fields_set)} is not carried by the local cloud; leave it out there"
        if self.domain is not None and region is not None and self.domain.certificate_region != region:
            return (
                f"network.domain.certificate_arn is in {self.domain.certificate_region}, and the environment in "
                f"{region}: API Gateway takes certificates of its own region"
            )
        return None
