"""URLs that target internal addresses. Every one is rejected without a packet: no socket can be opened here.

Any name that a test does not map resolves to a public address, so that a URL that passes the checks causes a
connection, which fails the test.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loupe.errors import Problem, UrlNotAllowed, UrlUnreachable
from loupe.sources.connection import Deadline, interleaved
from loupe.sources.url import UrlRules
from loupe.sources.url_fetcher import Fetcher
from sites import HOST, site

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDE = UrlRules("public", schemes=("http", "https"), ports=(80, 443))
INSIDE = {
    "loopback.example": "127.0.0.1", "any.example": "0.0.0.0", "ten.example": "10.1.2.3", "lan.example": "192.168.1.1",
    "corp.example": "172.16.0.1", "metadata.example": "169.254.169.254", "cgnat.example": "100.64.0.1",
    "multicast.example": "224.0.0.1", "broadcast.example": "255.255.255.255", "benchmark.example": "198.18.0.1",
    "test.example": "192.0.2.1", "v6.example": "::1", "any6.example": "::", "ula.example": "fd00:ec2::254",
    "link6.example": "fe80::1", "mapped.example": "::ffff:127.0.0.1", "compatible.example": "::127.0.0.1",
    "nat64.example": "64:ff9b::a9fe:a9fe", "local-nat64.example": "64:ff9b:1::7f00:1", "6to4.example": "2002:7f00:1::",
    "teredo.example": "2001:0:0:0:0:0:80ff:fffe", "site.example": "fec0::1", "multicast6.example": "ff02::1",
    "documentation.example": "2001:db8::1",
}  # fmt: skip

HOSTILE = [
    *(f"http://{name}/x.jpg" for name in INSIDE),
    # literals: private, loopback, link-local, CGNAT, multicast, reserved
    "http://127.0.0.1/", "https://127.0.0.1/", "http://127.8.8.8/", "http://0.0.0.0/", "http://10.0.0.1/",
    "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.0.1/", "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials", "http://100.100.100.200/", "http://100.64.0.1/", "http://192.0.0.192/",
    "http://198.18.0.1/", "http://224.0.0.1/", "http://239.255.255.250/", "http://240.0.0.1/", "http://255.255.255.255/",
    "http://192.88.99.1/",
    # IPv6, and IPv4 inside it
    "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
    "http://[::ffff:8.8.8.8]/", "http://[::127.0.0.1]/", "http://[fd00:ec2::254]/", "http://[fe80::1]/",
    "http://[fe80::1%25lo]/", "http://[::1%25lo]/", "http://[2606:4700::1111%25eth0]/", "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::8.8.8.8]/", "http://[2002:7f00:1::]/", "http://[2001::1]/", "http://[ff02::1]/",
    "http://[fec0::1]/", "http://[2001:db8::1]/", "http://[4000::1]/", "http://[v1.fe80::1]/", "http://[::1]x/",
    # octal, hexadecimal, decimal, short
    "http://0/", "http://127.1/", "http://127.0.1/", "http://0177.0.0.1/", "http://0177.1/", "http://0x7f.0.0.1/",
    "http://0x7f.1/", "http://0x7f000001/", "http://0X7F000001/", "http://2130706433/", "http://017700000001/",
    "http://4294967296/", "http://127.0.0.01/", "http://127.0.0.0x1/", "http://1.2.3/", "http://256.256.256.256/",
    "http://0xA9FEA9FE/", "http://2852039166/", "http://169.254.43518/", "http://127.0.0.1.1/", "http://00000000/",
    # trailing and leading dots, percent, spaces, backslashes, control characters, others than ASCII
    "http://127.0.0.1./", "http://127.0.0.1../", "http://localhost./", "http://.localhost/", "http://example..com/",
    "http://%31%32%37.0.0.1/", "http://127.0.0.%31/", "http://localhost%00.example.com/", "http://127.0.0.1%2f@x.example/",
    "http://exa mple.com/", "http:\\\\127.0.0.1\\", "http://example.com\\@127.0.0.1/", "http://example.com\t/",
    "http://example.com/\r\nHost: 127.0.0.1", "\x00http://127.0.0.1/", "http://\uff11\uff12\uff17.0.0.1/",
    "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/", "http://127\u30020\u30020\u30021/",
    "http://b\u00fccher.example/", "http://ex\u00ad ample.com/", "http://127.0.0.1\u200b/",
    # internal names
    "http://localhost/", "http://LOCALHOST/", "http://db.localhost/", "http://printer.local/", "http://intranet/",
    "http://metadata.google.internal/", "http://instance-data.ec2.internal/", "http://router.home.arpa/", "http://x.onion/",
    # user names and passwords
    "http://me:secret@example.com/", "http://example.com@127.0.0.1/", "http://@127.0.0.1/", "http://:@example.com/",
    "http://127.0.0.1:80@example.com/", "http://a@b@127.0.0.1/",
    # ports
    "http://example.com:22/", "http://example.com:9001/", "http://example.com:0/", "http://example.com:65536/",
    "http://example.com:-1/", "http://example.com:80x/", "http://example.com:\u0668\u0660/", "http://127.0.0.1:9001/",
    # schemes, and none
    "file:///proc/self/environ", "file://localhost/etc/passwd", "FILE:///etc/passwd", "ftp://example.com/x.jpg",
    "gopher://127.0.0.1:70/_x", "dict://127.0.0.1:11211/stat", "data:image/png;base64,AAAA", "jar:http://example.com!/",
    "ldap://127.0.0.1/", "ws://example.com/", "s3://bucket/key", "javascript:alert(1)", "about:blank", "http:",
    "http:example.com/", "http:/example.com/", "http:///example.com/", "//example.com/x.jpg", "/etc/passwd", "x.jpg",
    "",
    "://example.com/", "http//example.com/", "url:http://127.0.0.1/", "http://", "http://:80/", "http://?x", "http://#x",
    # too long
    "http://example.com/" + "a" * 3000, "http://" + "a" * 250 + ".example.com/", "http://" + "a." * 200 + "com/",
]  # fmt: skip


class Names:
    def __init__(self) -> None:
        self.look_ups: list[str] = []

    def __call__(self, host: str, port: int, timeout: float) -> Sequence[Any]:
        self.look_ups.append(host)
        return [ipaddress.ip_address(INSIDE.get(host, "93.184.216.34"))]


def test_the_list_is_long() -> None:
    assert len(set(HOSTILE)) >= 150


@pytest.mark.parametrize("url", HOSTILE, ids=lambda url: ascii(url)[:60])
def test_url_is_rejected_without_a_packet(url: str) -> None:
    names = Names()
    with pytest.raises(UrlNotAllowed) as caught:
        Fetcher(WIDE, 1000, names).fetch(url)
    # Only a valid name is resolved, and only if every other check has passed.
    assert set(names.look_ups) <= set(INSIDE)
    assert caught.value.detail.isprintable()
    assert not any(address in caught.value.detail for address in INSIDE.values() if address not in url)


def test_url_that_is_not_hostile_is_connected_to() -> None:
    """The guard of these tests works: an ordinary URL opens a socket."""
    for url in (
        "http://example.com/x.jpg",
        "https://example.com./x.jpg",
        "http://[64:ff9b::8.8.8.8]/",
        "HTTP://EXAMPLE.COM/",
    ):
        with pytest.raises(RuntimeError, match="socket"), pytest.warns(UserWarning, match="socket"):
            Fetcher(WIDE, 1000, Names()).fetch(url)


@pytest.mark.allow_hosts([HOST])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "0",
                                  "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]", "loopback.example", "127.0.0.1.",
                                  "me@127.0.0.1", "\uff11\uff12\uff17.0.0.1"])  # fmt: skip
def test_site_on_the_own_machine_is_rejected(host: str) -> None:
    with site(lambda visit: visit.answer(b"secret")) as served:
        rules = UrlRules("public", schemes=("http",), ports=(served.port,))
        with pytest.raises(UrlNotAllowed):
            Fetcher(rules, 1000, Names()).fetch(f"http://{host}:{served.port}/")
        assert served.connections == 0


def test_nothing_is_fetched_with_policy_off() -> None:
    names = Names()
    with pytest.raises(UrlNotAllowed, match="does not fetch URLs"):
        Fetcher(UrlRules(), 1000, names).fetch("https://example.com/")
    assert names.look_ups == []


def test_schemes_and_ports_are_those_of_the_rules() -> None:
    with pytest.raises(UrlNotAllowed, match="Only https URLs"):
        Fetcher(UrlRules("public"), 1000, Names()).fetch("http://example.com:443/")
    with pytest.raises(UrlNotAllowed, match="Port 8443"):
        Fetcher(UrlRules("public"), 1000, Names()).fetch("https://example.com:8443/")


@pytest.mark.parametrize(("host", "allowed"), [
    ("pictures.example.com", True), ("a.example.org", True), ("b.a.example.org", True), ("PICTURES.EXAMPLE.COM", True),
    ("pictures.example.com.", True), ("example.org", False), ("xexample.org", False), ("example.com", False),
    ("x.pictures.example.com", False), ("pictures.example.com.evil.example", False), ("93.184.216.34", False),
])  # fmt: skip
def test_the_allow_list(host: str, allowed: bool) -> None:
    rules = UrlRules("allow-list", hosts=("pictures.example.com", "*.example.org"))
    fetcher = Fetcher(rules, 1000, Names())
    if allowed:
        assert fetcher.check(f"https://{host}/", Deadline(1)).host == host.lower().removesuffix(".")
    else:
        with pytest.raises(UrlNotAllowed, match="list"):
            fetcher.check(f"https://{host}/", Deadline(1))


def test_allow_listed_host_with_a_private_address_is_rejected() -> None:
    with pytest.raises(UrlNotAllowed, match="public internet"):
        Fetcher(UrlRules("allow-list", hosts=("ten.example",)), 1000, Names()).fetch("https://ten.example/")


def test_private_networks_open_no_more_than_themselves() -> None:
    rules = UrlRules("public", private_networks=(ipaddress.ip_network("10.1.0.0/16"),))
    fetcher = Fetcher(rules, 1000, Names())
    assert str(fetcher.check("https://ten.example/", Deadline(1)).addresses[0]) == "10.1.2.3"
    for url in (
        "https://10.2.0.1/",
        "https://[::ffff:10.1.2.3]/",
        "https://lan.example/",
        "https://[64:ff9b::a01:203]/",
    ):
        with pytest.raises(UrlNotAllowed):
            fetcher.check(url, Deadline(1))


def test_addresses_of_both_families_are_tried_in_turn() -> None:
    addresses = [ipaddress.ip_address(text) for text in ("2606::1", "2606::2", "2606::3", "1.1.1.1", "1.0.0.1")]
    assert [str(address) for address in interleaved(addresses)] == [
        "2606::1",
        "1.1.1.1",
        "2606::2",
        "1.0.0.1",
        "2606::3",
    ]
    assert interleaved([]) == []


# --- any URL, any resolver

ADDRESSES = st.one_of(
    st.sampled_from(["93.184.216.34", "2606:4700::1111", "1.1.1.1", "64:ff9b::101:101"]).map(ipaddress.ip_address),
    st.ip_addresses(),
    st.sampled_from([*INSIDE.values()]).map(ipaddress.ip_address),
)
PIECES = st.sampled_from([
    "http", "https", "file", "://", ":", "/", "//", "\\", "@", "#", "?", "%", ".", "..", "[", "]", "::1", "::ffff:",
    "127.0.0.1", "127.1", "0x7f", "0177", "2130706433", "localhost", "example.com", "a.example", ":80", ":443", ":9001",
    "169.254.169.254", "\u0661", "\uff0e", "\u3002", "\x00", " ", "\t", "user:pass@", "x.jpg", "%2e", "[::1]", "-", "_",
])  # fmt: skip
URLS = st.one_of(
    st.text(max_size=80),
    st.lists(PIECES, max_size=8).map("".join),
    st.lists(PIECES, max_size=4).map(lambda pieces: "http://" + "".join(pieces)),
    st.builds("http://{}{}/{}".format, st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6).map("[{}]".format)),
              st.sampled_from(["", ":80", ":81", "."]), st.text(max_size=5)),
    st.sampled_from(["http://a.example/x.jpg", "https://a.example/x.jpg", "https://b.a.example./?x"]),
    st.builds("https://{}/".format, st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True)),
)  # fmt: skip
# Listed independently of the code under test (IANA special-purpose registries).
NEVER = [ipaddress.ip_network(text) for text in (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    "::/3", "4000::/2", "8000::/1", "2001::/32", "2001:db8::/32", "2002::/16",
)]  # fmt: skip
NAT64 = ipaddress.ip_network("64:ff9b::/96")


@given(url=URLS, answers=st.lists(st.lists(ADDRESSES, max_size=3), min_size=1, max_size=4))
def test_no_connection_is_made_to_a_private_address(url: str, answers: list[list[Any]]) -> None:
    turns = iter(answers * 5)
    connected: list[Any] = []

    class Recorder:
        def __init__(self, family: int, kind: int) -> None:
            assert kind == socket.SOCK_STREAM

        def settimeout(self, seconds: float) -> None:
            assert 0 < seconds <= WIDE.timeout_seconds

        def close(self) -> None:
            pass

        def connect(self, address: tuple[str, int]) -> None:
            connected.append(address)
            raise ConnectionRefusedError

    with mock.patch.object(socket, "socket", Recorder):
        fetcher = Fetcher(WIDE, 1000, lambda *_: next(turns))
        with pytest.raises(Problem) as caught:
            fetcher.fetch(url)
    assert isinstance(caught.value, UrlNotAllowed | UrlUnreachable)
    for host, port in connected:
        address = ipaddress.ip_address(host)
        if address in NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        assert port in (80, 443)
        assert not any(address in network for network in NEVER)
