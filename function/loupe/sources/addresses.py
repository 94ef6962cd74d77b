"""Resolve a URL's host, and decide which addresses belong to the public internet."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Host, port, seconds -> addresses (empty if the name has none); TimeoutError after the seconds.
Resolver = Callable[[str, int, float], Sequence[Address]]

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
# The last label of a name that inet_aton accepts as an address: 127.1, 0x7f.1, 2130706433, 017700000001.
_NUMERIC_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)
# Names that never resolve to the public internet (RFC 6761, 6762, 7686, 8375; ICANN 2024 for 'internal').
_LOCAL_NAMES = ("localhost", "local", "internal", "home.arpa", "onion", "invalid", "test")

# The only IPv6 range of the public internet (RFC 4291, IANA 'IPv6 Global Unicast Address Assignments').
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Prefixes of NAT64 in IPv6-only networks (RFC 6052): DNS64 synthesizes them from a name's IPv4 addresses.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Tunnels and special uses; Python's tables differ between versions, so the networks are listed here too.
_NON_PUBLIC: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
                 "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)  # fmt: skip


# Concurrent look-ups, including those that outlive their request.
MAX_LOOKUPS = 64
_LOOKUPS = threading.BoundedSemaphore(MAX_LOOKUPS)
# The resolver's limits (resolv.conf(5), RES_OPTIONS): the default is 10 s for each name server. Set before the first
# look-up; an existing value is kept.
os.environ.setdefault("RES_OPTIONS", "timeout:2 attempts:2")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    Addresses that embed an IPv4 address (mapped, compatible, 6to4, Teredo) are never public: no resolver returns them
    for a public name. For NAT64 the embedded address decides.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_UNICAST or address.scope_id is not None:
            return False
    if any(address in network for network in _NON_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_name(host: str) -> bool:
    """Whether a host is a well-formed lower-case DNS name that no resolver accepts as an address."""
    return _NAME.fullmatch(host) is not None and _NUMERIC_END.fullmatch(host) is None


def is_local_name(host: str) -> bool:
    """Whether a name cannot be public: without a dot, or reserved for local use."""
    return "." not in host or any(host.endswith(f".{name}") for name in _LOCAL_NAMES)


def literal(host: str) -> Address | None:
    """Return the address that a host is in the standard notation, else None: no octal, hex or short forms."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def resolve(host: str, port: int, timeout: float) -> Sequence[Address]:
    """Resolve a name with the system's resolver.

    ``getaddrinfo`` has no timeout, so it runs in a thread, which may outlive its request. The thread waits for a packet
    without using CPU, ends by the resolver's limits, and there are at most `MAX_LOOKUPS`.

    Raises
    ------
    TimeoutError
        If it takes more than ``timeout`` seconds.
    """
    late = TimeoutError(f"no answer for {host} in {timeout:g} s")
    lookups = _LOOKUPS
    end = time.monotonic() + timeout
    if not lookups.acquire(timeout=max(0.0, timeout)):
        raise late
    response: list[Sequence[Address]] = []

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            infos = []
        finally:
            lookups.release()
        response.append(tuple(ipaddress.ip_address(str(info[4][0])) for info in infos))

    thread = threading.Thread(target=look_up, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        lookups.release()
        raise
    thread.join(max(0.0, end - time.monotonic()))
    if not response:
        raise late
    return response[0]
