"""TLS of sites whose images are fetched by URL."""

from __future__ import annotations

import socket
import ssl
import time

import pytest
import trustme
from loupe.errors import UrlUnreachable
from sites import HOST, site
from url_fetching import IMAGE, NAME, fetcher

pytestmark = pytest.mark.allow_hosts([HOST, "127.0.0.2"])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_tls_is_for_the_name_though_the_connection_is_to_an_address(authority: trustme.CA) -> None:
    server_names: list[str | None] = []
    context = server_tls(authority, NAME)
    context.sni_callback = lambda _socket, name, _context: server_names.append(name)
    with site(lambda visit: visit.answer(IMAGE), context) as served:
        assert fetcher(served, tls=client_tls(authority)).fetch(f"https://{NAME}:{served.port}/") == IMAGE
    assert server_names == [NAME]
    assert served.visits[0].headers["host"] == f"{NAME}:{served.port}"


def test_a_certificate_may_be_for_an_address(authority: trustme.CA) -> None:
    with site(lambda visit: visit.answer(IMAGE), server_tls(authority, HOST)) as served:
        assert fetcher(served, tls=client_tls(authority)).fetch(f"https://{HOST}:{served.port}/") == IMAGE


@pytest.mark.parametrize("names", [("other.example",), (HOST,)])
def test_certificate_for_another_name_is_rejected(authority: trustme.CA, names: tuple[str, ...]) -> None:
    with (
        site(lambda visit: visit.answer(IMAGE), server_tls(authority, *names)) as served,
        pytest.raises(UrlUnreachable, match=f"The certificate of {NAME} is not valid"),
    ):
        fetcher(served, tls=client_tls(authority)).fetch(f"https://{NAME}:{served.port}/")
    assert served.visits == []


def test_unknown_certificate_authority_is_rejected() -> None:
    with (
        site(lambda visit: visit.answer(IMAGE), server_tls(trustme.CA(), NAME)) as served,
        pytest.raises(UrlUnreachable, match="certificate"),
    ):
        fetcher(served).fetch(f"https://{NAME}:{served.port}/")


def test_https_to_a_site_without_tls() -> None:
    with site(lambda visit: visit.answer(IMAGE)) as served, pytest.raises(UrlUnreachable):
        fetcher(served, timeout_seconds=0.2).fetch(f"https://{NAME}:{served.port}/")


# --- redirects


def test_the_deadline_holds_against_a_handshake_that_never_ends() -> None:
    started = time.monotonic()
    with site(lambda visit: None) as served, socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UrlUnreachable, match=r"within 0\.3 s"):
            fetcher(served, timeout_seconds=0.3, ports=(port,)).fetch(f"https://{NAME}:{port}/")
    assert time.monotonic() - started < 2
