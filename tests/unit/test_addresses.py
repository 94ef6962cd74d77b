"""Public addresses, host names and look-ups."""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loupe.sources import addresses
from loupe.sources.addresses import is_local_name, is_name, is_public, literal, resolve

FUNCTION = Path(__file__).resolve().parents[2] / "function"
# IANA's special-purpose registries, multicast and reserved networks; and every embedding of IPv4 in IPv6.
SPECIAL = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
    "::/128", "::1/128", "::/96", "::ffff:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:2::/48",
    "2001:10::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "4000::/3", "fc00::/7", "fe80::/10",
    "fec0::/10", "ff00::/8",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0",
          "169.253.255.255", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::8a", "2600:1f18::1"]  # fmt: skip


def addresses_in(text: str) -> st.SearchStrategy[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    network = ipaddress.ip_network(text)
    kind = type(network.network_address)
    return st.integers(int(network.network_address), int(network.broadcast_address)).map(kind)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("network", SPECIAL)
def test_the_edges_of_every_special_network_are_not_public(network: str) -> None:
    block = ipaddress.ip_network(network)
    assert not is_public(block.network_address)
    assert not is_public(block.broadcast_address)


@given(st.one_of(*map(addresses_in, SPECIAL)))
def test_nothing_in_a_special_network_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert not is_public(address)


@given(st.one_of(*(addresses_in(network) for network in SPECIAL if ":" not in network)))
def test_no_ipv4_address_becomes_public_inside_ipv6(inner: ipaddress.IPv4Address) -> None:
    value = int(inner)
    hidden = [0xFFFF << 32 | value, value, 0x2002 << 112 | value << 80, 0x64FF9B << 96 | value,
              0x20010000 << 96 | (value ^ 0xFFFFFFFF)]  # fmt: skip
    assert not any(is_public(ipaddress.IPv6Address(address)) for address in hidden)


def test_nat64_of_a_public_address_is_public() -> None:
    assert is_public(ipaddress.ip_address("64:ff9b::8.8.8.8"))


def test_an_address_with_a_zone_is_not_public() -> None:
    assert not is_public(ipaddress.ip_address("2606:4700::1111%eth0"))


@pytest.mark.parametrize("host", ["example.com", "a.b-c.example", "xn--bcher-kva.example", "_dmarc.example.com", "x1",
                                  "1.example", "3com.com", "a" * 63 + ".com", "0x1f.example"])  # fmt: skip
def test_names(host: str) -> None:
    assert is_name(host)


@pytest.mark.parametrize("host", ["", ".", "a..b", "-a.com", "a-.com", "a" * 64 + ".com", "a." * 127 + "toolong", "a b",
                                  "127.1", "0x7f.1", "1", "0", "0x7f000001", "017700000001", "a.0x1", "a.1", "a.0x",
                                  "ex%61mple.com", "b\u00fccher.example", "a\n.com", "example.com\n", "a:b", "[::1]",
                                  "\uff11.example", "Example.com"])  # fmt: skip
def test_host_that_is_not_a_name(host: str) -> None:
    assert not is_name(host)


def test_local_names() -> None:
    assert all(
        map(is_local_name, ["localhost", "a.localhost", "db", "printer.local", "x.home.arpa", "a.compute.internal"])
    )
    assert not any(map(is_local_name, ["example.com", "local.example", "localhost.example.com", "notlocal.org"]))


@pytest.mark.parametrize("text", ["127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "1.2.3", "1.2.3.4.5", "256.1.1.1",
                                  "127.0.0.01", "::1::", "\u0661.1.1.1", "1.1.1.1 ", "::ffff:1.2.3"])  # fmt: skip
def test_unusual_notations_are_no_literals(text: str) -> None:
    assert literal(text) is None


def test_resolver_returns_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = [(socket.AF_INET6, 1, 6, "", ("2606:4700::1111", 443, 0, 0)), (socket.AF_INET, 1, 6, "", ("1.1.1.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)
    assert [str(address) for address in resolve("one.example", 443, 5)] == ["2606:4700::1111", "1.1.1.1"]


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_unknown_name_has_no_address(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert resolve("none.example", 443, 5) == ()


def test_hanging_resolver_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(30) and [])
    with pytest.raises(TimeoutError):
        resolve("slow.example", 443, 0.05)
    released.set()


def test_hanging_look_ups_are_bounded_and_release_their_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    released, places = threading.Event(), threading.BoundedSemaphore(3)
    monkeypatch.setattr(addresses, "_LOOKUPS", places)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(30) and [])
    before = set(threading.enumerate())
    for _ in range(5):
        with pytest.raises(TimeoutError, match=r"no answer for slow\.example in 0\.02 s"):
            resolve("slow.example", 443, 0.02)
    assert len(set(threading.enumerate()) - before) == 3
    released.set()
    assert all(places.acquire(timeout=20) for _ in range(3))


def test_the_system_resolver_times_out_within_seconds() -> None:
    """Return glibc's RES_OPTIONS: seconds for each attempt, and attempts (the first fields of its state)."""
    code = (
        "import ctypes, loupe.sources.addresses\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.__res_init()\n"
        "libc.__res_state.restype = ctypes.POINTER(ctypes.c_int)\n"
        "state = libc.__res_state()\n"
        "print(state[0], state[1])\n"
    )
    variables = {name: value for name, value in os.environ.items() if name != "RES_OPTIONS"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=variables | {"PYTHONPATH": str(FUNCTION)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert run.stdout.split() == ["2", "2"]
