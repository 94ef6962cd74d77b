"""Fetching by URL from misbehaving sites on the loopback interface."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from loupe.errors import ImageTooLarge, UnsupportedMediaType, UrlNotAllowed, UrlUnreachable
from loupe.sources.url import UrlRules
from loupe.sources.url_fetcher import Fetcher
from sites import HOST, Visit, site
from url_fetching import IMAGE, NAME, Names, fetch, fetcher, rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

pytestmark = pytest.mark.allow_hosts([HOST, "127.0.0.2"])


def test_image_is_fetched() -> None:
    assert fetch(lambda visit: visit.answer(IMAGE)) == IMAGE


def test_request_headers_are_minimal_and_disclose_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine {NAME} login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with site(lambda visit: visit.answer(IMAGE)) as served:
        fetcher(served).fetch(f"http://{NAME}:{served.port}/a/b;c?d=e&f#g")
    (visit,) = served.visits
    assert visit.request.startswith(b"GET /a/b;c?d=e&f HTTP/1.1\r\n")
    assert visit.headers == {
        "host": f"{NAME}:{served.port}",
        "accept": "image/jpeg, image/png, image/webp, image/gif, image/avif, image/heic",
        "accept-encoding": "identity",
        "user-agent": "Loupe",
        "connection": "close",
    }


def test_no_cookie_follows_a_redirect() -> None:
    def answer(visit: Visit) -> None:
        if visit.path == "/p.png":
            visit.answer(b"", "302 Found", Location="/q.png", Set_Cookie="a=b")
        else:
            visit.answer(IMAGE)

    with site(answer) as served:
        fetcher(served).fetch(f"http://{NAME}:{served.port}/p.png")
    assert "cookie" not in served.visits[1].headers


def test_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        site(lambda visit: visit.answer(b"from the proxy")) as proxy,
        site(lambda visit: visit.answer(IMAGE)) as served,
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{HOST}:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://{HOST}:{proxy.port}")
        assert fetcher(served).fetch(f"http://{NAME}:{served.port}/") == IMAGE
    assert proxy.connections == 0


# --- target of the connection


def test_the_connection_uses_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look-up would return another machine: neither this resolver nor the system's is called again."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up again"))
    names = Names(images_example=[[HOST], ["127.0.0.2"]])
    with site(lambda visit: visit.answer(IMAGE)) as served:
        assert fetcher(served, names).fetch(f"http://{NAME}:{served.port}/") == IMAGE
    assert names.look_ups == [NAME]
    assert served.visits[0].headers["host"] == f"{NAME}:{served.port}"


def test_private_address_is_rejected_when_a_redirect_resolves_again() -> None:
    names = Names(images_example=[[HOST], ["127.0.0.2"]])
    with site(lambda visit: visit.redirect("/again")) as served, pytest.raises(UrlNotAllowed):
        fetcher(served, names).fetch(f"http://{NAME}:{served.port}/")
    assert (served.connections, names.look_ups) == (1, [NAME, NAME])


@pytest.mark.parametrize("inside", ["10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "127.0.0.2"])
@pytest.mark.parametrize("first", [True, False])
def test_one_private_address_rejects_the_name(inside: str, first: bool) -> None:
    names = Names(images_example=[inside, HOST] if first else [HOST, inside])
    with site(lambda visit: visit.answer(IMAGE)) as served:
        with pytest.raises(UrlNotAllowed, match="no address on the public internet") as caught:
            fetcher(served, names).fetch(f"http://{NAME}:{served.port}/")
        assert served.connections == 0
    assert inside not in caught.value.detail


def test_unknown_and_internal_names_have_the_same_problem() -> None:
    with site(lambda visit: visit.answer(IMAGE)) as served:
        details = set()
        for names in (Names(), Names(images_example=["10.1.2.3"])):
            with pytest.raises(UrlNotAllowed) as caught:
                fetcher(served, names).fetch(f"http://{NAME}:{served.port}/")
            details.add(caught.value.detail)
    assert details == {f"The host {NAME} has no address on the public internet."}


def test_next_address_is_tried_if_the_first_refuses_the_connection() -> None:
    networks = tuple(ipaddress.ip_network(text) for text in ("127.0.0.0/30", "::1/128"))
    names = Names(images_example=["127.0.0.2", "127.0.0.2", HOST])
    with site(lambda visit: visit.answer(IMAGE)) as served:
        assert fetcher(served, names, private_networks=networks).fetch(f"http://{NAME}:{served.port}/") == IMAGE
    assert served.connections == 1


def test_host_is_unreachable_if_every_address_refuses_the_connection() -> None:
    with site(lambda visit: visit.answer(IMAGE)) as served:
        port = served.port
    with pytest.raises(UrlUnreachable, match=f"The host {NAME} did not give an answer"):
        fetcher(served).fetch(f"http://{NAME}:{port}/")


# --- TLS


def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    def answer(visit: Visit) -> None:
        left = int(visit.path[1:])
        if left:
            visit.redirect(f"/{left - 1}", f"{(301, 302, 307, 308)[left % 4]} Moved")
        else:
            visit.answer(IMAGE)

    assert fetch(answer, "/3") == IMAGE
    problem = rejection(answer, "/4")
    assert (problem.code, problem.detail) == ("url_unreachable", "The URL redirects more than 3 times.")


@pytest.mark.parametrize("location", [
    "http://127.0.0.2:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/", "http://169.254.169.254/latest/",
    "http://127.1:{port}/", "http://0x7f000001:{port}/", "//127.0.0.2:{port}/", "file:///proc/self/environ",
    "ftp://images.example/", "gopher://images.example:{port}/", "http://me:secret@images.example:{port}/",
    "http://images.example:9001/2018-06-01/runtime/invocation/next", "data:image/png;base64,AAAA",
    "http:\\\\127.0.0.2\\", "javascript:alert(1)", "http://inside.example:{port}/",
])  # fmt: skip
def test_a_redirect_is_checked_as_the_first_url(location: str) -> None:
    with site(lambda visit: visit.redirect(location.replace("{port}", str(visit.site.port)))) as served:
        names = Names(images_example=[HOST], inside_example=["10.0.0.1"])
        with pytest.raises(UrlNotAllowed):
            fetcher(served, names).fetch(f"http://{NAME}:{served.port}/")
    assert served.connections == 1


@pytest.mark.parametrize("location", ["http://[", "http://[::1", "http://images.example:99999/", "http://[v1.x]/"])
def test_malformed_redirect_is_unreachable(location: str) -> None:
    assert rejection(lambda visit: visit.redirect(location)).code in ("url_unreachable", "url_not_allowed")


@pytest.mark.parametrize("location", ["/\u00fc.png", "/a b.png", "q.png", "?q", "/%C3%BC", "//images.example:{port}/q"])
def test_redirects_as_sites_write_them(location: str) -> None:
    def answer(visit: Visit) -> None:
        if visit.path == "/p.png":
            visit.redirect(location.replace("{port}", str(visit.site.port)).encode().decode("latin-1"))
        else:
            assert visit.path.isascii()
            visit.answer(IMAGE)

    assert fetch(answer) == IMAGE


# --- answers


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "206 Partial Content", "301 Moved", "304 Same",
                                    "401 Who", "404 Not Found", "500 Oops"])  # fmt: skip
def test_only_status_200_is_accepted(status: str) -> None:
    problem = rejection(lambda visit: visit.answer(IMAGE, status))
    assert (problem.code, problem.detail) == ("url_unreachable", f"The host {NAME} answered {status[:3]}.")


@pytest.mark.parametrize(
    "content", [b"<html>not found</html>", b"{}" * 20, gzip.compress(bytes(10_000_000)), b"BM" * 40]
)
def test_body_that_is_not_an_image_is_named_by_its_content(content: bytes) -> None:
    assert isinstance(rejection(lambda visit: visit.answer(content, Content_Type="image/png")), UnsupportedMediaType)


def test_body_that_is_not_an_image_is_not_read_to_its_end() -> None:
    def answer(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 200 OK\r\n\r\n<html>")
        while not visit.site.closing.is_set():
            visit.send(b"x" * 10_000)

    with site(answer) as served, pytest.raises(UnsupportedMediaType):
        fetcher(served).fetch(f"http://{NAME}:{served.port}/")


def test_short_and_empty_bodies_are_left_to_the_decoder() -> None:
    assert fetch(lambda visit: visit.answer(b"")) == b""
    assert fetch(lambda visit: visit.answer(b"\xff\xd8\xff")) == b"\xff\xd8\xff"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "GZIP", "x"])
def test_compressed_bodies_are_rejected(encoding: str) -> None:
    problem = rejection(lambda visit: visit.answer(gzip.compress(IMAGE), Content_Encoding=encoding))
    assert "compressed" in problem.detail


@pytest.mark.parametrize("encoding", ["identity", "", "Identity"])
def test_identity_content_encoding_is_accepted(encoding: str) -> None:
    assert fetch(lambda visit: visit.answer(IMAGE, Content_Encoding=encoding)) == IMAGE


def chunked(*chunks: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b"")
    )


@pytest.mark.parametrize("data", [
    b"HTTP/1.1 200 OK\r\n\r\n" + IMAGE,
    b"HTTP/1.0 200 OK\r\n\r\n" + IMAGE,
    chunked(IMAGE[:5], IMAGE[5:]),
    chunked(*(IMAGE[i : i + 1] for i in range(len(IMAGE)))),
    b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 200 OK\r\n\r\n" + IMAGE,
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + IMAGE,
    b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + IMAGE,
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE + b"more",
])  # fmt: skip
def test_bodies_of_every_length_header(data: bytes) -> None:
    assert fetch(lambda visit: visit.send(data)) == IMAGE


@pytest.mark.parametrize("data", [
    b"",
    b"\0" * 100,
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"220 mail ready\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(IMAGE) + 1) + IMAGE,
    chunked(IMAGE)[:-20],
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + IMAGE,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n" + IMAGE,
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
    b"HTTP/1.1 200" + b"0" * 100_000,
    b"HTTP/1.1 abc OK\r\n\r\n",
])  # fmt: skip
def test_responses_that_are_invalid(data: bytes) -> None:
    problem = rejection(lambda visit: visit.send(data))
    assert isinstance(problem, UrlUnreachable)


def test_content_length_over_the_limit_is_rejected_before_reading() -> None:
    with (
        site(lambda visit: visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n" + IMAGE)) as served,
        pytest.raises(ImageTooLarge, match="larger than 100,000 bytes"),
    ):
        fetcher(served).fetch(f"http://{NAME}:{served.port}/")


def endless(head: bytes, part: bytes) -> Callable[[Visit], None]:
    def answer(visit: Visit) -> None:
        visit.send(head)
        while not visit.site.closing.is_set():
            visit.send(part)

    return answer


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(("head", "part"), [
    (HEAD + b"\r\n" + IMAGE, b"x" * 1000),
    (CHUNKED + b"%x\r\n%s\r\n" % (len(IMAGE), IMAGE), b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
])  # fmt: skip
def test_endless_body_is_rejected_at_the_limit(head: bytes, part: bytes) -> None:
    assert isinstance(rejection(endless(head, part)), ImageTooLarge)


def trickled(head: bytes, rest: bytes) -> Callable[[Visit], None]:
    def answer(visit: Visit) -> None:
        visit.send(head)
        visit.trickle(rest)

    return answer


@pytest.mark.parametrize("answer", [
    trickled(b"", HEAD + b"X: " + b"y" * 10_000),
    trickled(HEAD, b"X: y\r\n" * 10_000),
    trickled(HEAD + b"\r\n", IMAGE + bytes(10_000)),
    trickled(HEAD + b"Content-Length: 99999\r\n\r\n", IMAGE + bytes(99_999)),
    trickled(CHUNKED, b"1" * 10_000),
    trickled(CHUNKED + b"3;", b"a" * 10_000),
    trickled(CHUNKED, b"1\r\n\x89\r\n" * 1000),
    endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    lambda visit: visit.site.closing.wait(20),
    lambda visit: (visit.redirect("/p.png"), visit.site.closing.wait(20)) if visit.path != "/q" else None,
], ids=["status line", "headers", "body", "body with length", "chunk size", "chunk extension", "chunks", "continue",
        "silence", "after redirects"])  # fmt: skip
def test_the_deadline_holds_against_a_trickle(answer: Callable[[Visit], None]) -> None:
    started = time.monotonic()
    problem = rejection(answer, timeout_seconds=0.1)
    assert time.monotonic() - started < 2
    assert isinstance(problem, UrlUnreachable)
    assert "0.1 s" in problem.detail or "redirects" in problem.detail


def test_the_deadline_holds_against_a_resolver_that_hangs() -> None:
    def hanging(host: str, port: int, timeout: float) -> Sequence[Any]:
        assert 0 < timeout <= 0.3
        raise TimeoutError

    with site(lambda visit: None) as served, pytest.raises(UrlUnreachable, match=r"within 0\.3 s"):
        Fetcher(UrlRules("public", ports=(served.port,), timeout_seconds=0.3), 1, hanging).fetch(
            f"https://{NAME}:{served.port}/"
        )
