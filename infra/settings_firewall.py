"""Settings of the firewall: who is blocked before a request reaches the API."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from infra.settings_base import Section, text

Country = Annotated[str, text(r"[A-Z]{2}", "a country's two letters (ISO 3166-1 alpha-2), such as DE")]


def _network(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"must be a network such as 198.51.100.0/24 or 2001:db8::/32: {error}") from None
    if network.prefixlen == 0:
        raise ValueError(f"{value} is every address; WAF takes prefixes from /1 on")
    return str(network)


Network = Annotated[str, AfterValidator(_network)]


class FirewallSettings(Section):
    """AWS WAF in front of the API's stage. It is paid by the month and by the request: off unless asked for."""

    enabled: bool = False
    # Requests of one address, and of one API key, in the window; more are blocked until it is fewer again.
    requests_per_address: Annotated[int, Field(ge=10, le=2_000_000_000)] = 2_000
    requests_per_key: Annotated[int, Field(ge=10, le=2_000_000_000)] | None = None
    window_seconds: Literal[60, 120, 300, 600] = 300
    # Either from these only, or not from those.
    allowed_countries: Annotated[tuple[Country, ...], Field(max_length=50)] = ()
    blocked_countries: Annotated[tuple[Country, ...], Field(max_length=50)] = ()
    # Let in whatever the other rules say; and never let in, which comes first.
    trusted_networks: Annotated[tuple[Network, ...], Field(max_length=10_000)] = ()
    blocked_networks: Annotated[tuple[Network, ...], Field(max_length=10_000)] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.allowed_countries and self.blocked_countries:
            raise ValueError("allowed_countries and blocked_countries exclude each other: name one of them")
        given = sorted(self.model_fields_set - {"enabled"})
        if given and not self.enabled:
            raise ValueError(f"{given[0]} belongs to a firewall that is enabled; set enabled to true")
        return self
