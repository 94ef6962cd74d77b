"""Settings of AWS WAF: rate limits, countries and networks."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from infra.settings.auth import ClientPlan
from infra.settings.base import Section

# CountryCode of the WAF API. (The United Kingdom is GB.)
_CODES = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
    TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(_CODES.split())
# Of one client without a usage plan.
_REQUESTS_A_SECOND = 10


def _country(value: str) -> str:
    if value not in COUNTRIES:
        raise ValueError(f"must be a country's two letters (ISO 3166-1 alpha-2), such as DE or GB (it is {value!r})")
    return value


Country = Annotated[str, AfterValidator(_country)]


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
    """AWS WAF in front of the API's stage. It costs a monthly fee and a fee per request: off by default."""

    enabled: bool = False
    # Requests per window of one address, and of one API key; more are blocked until the rate falls. Default: twice what
    # the largest usage plan allows, so that a client gets the plan's 429 rather than a 403.
    requests_per_address: Annotated[int, Field(ge=10, le=2_000_000_000)] | None = None
    requests_per_key: Annotated[int, Field(ge=10, le=2_000_000_000)] | None = None
    window_seconds: Literal[60, 120, 300, 600] = 300
    # At most one of the two lists.
    allowed_countries: Annotated[tuple[Country, ...], Field(max_length=50)] = ()
    blocked_countries: Annotated[tuple[Country, ...], Field(max_length=50)] = ()
    # Allowed regardless of later rules; blocked before all other rules.
    trusted_networks: Annotated[tuple[Network, ...], Field(max_length=10_000)] = ()
    blocked_networks: Annotated[tuple[Network, ...], Field(max_length=10_000)] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.allowed_countries and self.blocked_countries:
            raise ValueError("allowed_countries and blocked_countries exclude each other: name one of them")
        fields_set = sorted(self.model_fields_set - {"enabled"})
        if fields_set and not self.enabled:
            raise ValueError(f"{fields_set[0]} belongs to a firewall that is enabled; set enabled to true")
        return self

    def conflict(self, clients: Mapping[str, ClientPlan], *, private: bool, local: bool) -> str | None:
        """Return how it conflicts with these clients, a private endpoint or the local cloud, or None."""
        if self.enabled and local:
            return "firewall.enabled is not carried by the local cloud; leave it out there"
        if private and (self.allowed_countries or self.blocked_countries):
            return "firewall's countries and network.private_endpoint exclude each other: addresses in a VPC have none"
        if self.requests_per_key is None:
            return None
        if not clients:
            return "firewall.requests_per_key belongs to auth.mode 'api-key': in others there are no keys"
        for name, client in clients.items():
            allowed = self._by_plan(client)
            if self.requests_per_key < allowed:
                return (
                    f"firewall.requests_per_key ({self.requests_per_key}) would block client {name!r} within its plan, "
                    f"which lets {allowed} through in {self.window_seconds} seconds; make it {allowed} or more"
                )
        return None

    def default_limit(self, clients: Mapping[str, ClientPlan]) -> int:
        """Return the default rate limit, by the plans of clients with keys or, without any, by a fixed rate."""
        largest = max(map(self._by_plan, clients.values()), default=_REQUESTS_A_SECOND * self.window_seconds)
        return max(10, 2 * largest)

    def _by_plan(self, client: ClientPlan) -> int:
        """Return the maximum that a client's throttle allows in a window: its rate for all of it, and one burst."""
        return math.ceil(client.rate * self.window_seconds) + client.burst
