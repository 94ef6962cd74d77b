"""Documents and keys of an issuer: bounded in time, size and depth; malformed keys do not affect the others."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import documents
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from documents import IssuerError, fetch, json_object
from issuer import MAX_NUMBER, public_keys

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
# Fixed, so that test names are the same in every process.
EC = ec.derive_private_key(1, ec.SECP256R1())
OTHER = ec.derive_private_key(2, ec.SECP256R1())


def jwk(kid: Any = "good", key: ec.EllipticCurvePrivateKey = EC, **changes: Any) -> dict[str, Any]:
    return {**jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **changes}


Answer = Callable[[socket.socket, threading.Event], None]


@pytest.fixture
def site() -> Iterator[Callable[[Answer], str]]:
    """Start a server that answers one connection in its own way; the event is set when the test is over."""
    over, threads, listeners = threading.Event(), [], []

    def start(answer: Answer) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            stream, _ = listener.accept()
            with stream:
                try:
                    answer(stream, over)
                except OSError:
                    return  # the client gave up

        thread = threading.Thread(target=serve)
        thread.start()
        threads.append(thread)
        listeners.append(listener)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/keys"

    yield start
    over.set()
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


def trickle(start: bytes, part: bytes) -> Answer:
    def answer(stream: socket.socket, over: threading.Event) -> None:
        stream.sendall(start)
        while not over.wait(0.02):
            stream.sendall(part)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        trickle(b"", b""),
        trickle(b"HTTP/1.1 ", b"2"),
        trickle(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
        trickle(b"HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
        trickle(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" "),
        trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["silence", "status line", "headers", "one header", "body", "body with length", "chunks"],
)
def test_the_time_limit_covers_headers_and_body_together(site: Callable[[Answer], str], answer: Answer) -> None:
    url, started = site(answer), time.monotonic()
    with pytest.raises(IssuerError, match=r"/keys took more than 0\.1 s$"):
        fetch(url, allow_http=True, seconds=0.1)
    assert time.monotonic() - started < documents.FETCH_SECONDS


def respond(body: bytes) -> Answer:
    def answer(stream: socket.socket, _: threading.Event) -> None:
        assert stream.recv(65_536).startswith(b"GET /keys HTTP/1.1\r\n")
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        stream.recv(1)

    return answer


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_reported_clearly(site: Callable[[Answer], str], opening: bytes) -> None:
    url = site(respond(opening * (documents.MAX_BYTES // len(opening))))
    with pytest.raises(IssuerError, match=r"/keys is (nested too deeply|not JSON)$"):
        json_object(fetch(url, allow_http=True), url)


@pytest.mark.parametrize(
    "url", ["https://[", "https://host:port/", "https://h:99999/", "https://", "file:///etc/passwd", "http://x.example/",
            "https://" + "a" * 70_000, "https://\u00e9" * 9, "", "https://x.example\n.evil/"],
    ids=lambda url: url[:20],
)  # fmt: skip
def test_invalid_address_is_a_short_sentence(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: host.encode("idna") and [])
    with pytest.raises(IssuerError) as caught:
        fetch(url, allow_http=True)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


ODD: list[Any] = [
    {"kty": []}, {"kty": {}}, {"kty": None}, {}, [], None, 7, "key", {"kty": ["EC"], "kid": "good"},
    jwk(["good"]), jwk(""), jwk("k" * 2000), jwk(None), jwk("odd", alg=[]), jwk("odd", alg={"a": 1}), jwk("odd", x=[]),
    jwk("odd", x=""), jwk("odd", x="A" * (MAX_NUMBER + 1)), jwk("odd", x="\u00e9"), jwk("odd", y=None),
    jwk("odd", crv=[]), jwk("odd", crv="P-999"), jwk("odd", use=[]), jwk("odd", use="enc"), jwk("odd", alg="HS256"),
    jwk("odd", alg="none"), jwk("odd", alg="RS256"), jwk("odd", d="secret"), jwk("odd", kty="RSA"),
    {"kty": "RSA", "kid": "odd", "n": "AQAB", "e": "AQAB"}, {"kty": "RSA", "kid": "odd", "n": "", "e": ""},
    {"kty": "RSA", "kid": "odd", "n": "A" * 2700, "e": "AA"}, {"kty": "OKP", "kid": "odd", "crv": "X25519", "x": "AA"},
    {"kty": "oct", "kid": "odd", "k": "c2VjcmV0"},
]  # fmt: skip


@pytest.mark.parametrize("entry", ODD, ids=lambda entry: repr(entry)[:40])
def test_malformed_key_does_not_affect_the_others(entry: Any) -> None:
    assert list(public_keys([entry, jwk(), entry])) == ["good"]


def test_keys_that_share_an_id_are_not_used() -> None:
    assert list(public_keys([jwk("twice"), jwk("once"), jwk("twice", OTHER)])) == ["once"]
    # Only keys for signatures count.
    assert list(public_keys([jwk("once"), jwk("once", use="enc"), {"kid": "once"}])) == ["once"]


def test_the_kinds_of_keys_that_sign() -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    okp = ed25519.Ed25519PrivateKey.generate().public_key()
    entries = [
        {**jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key, as_dict=True), "kid": "rsa", "x5c": ["A" * 9000]},
        {**jwt.algorithms.OKPAlgorithm.to_jwk(okp, as_dict=True), "kid": "okp"},
        jwk("ec", alg="ES256", use="sig"),
    ]
    assert {kid: key.algorithm for kid, key in public_keys(entries).items()} == {
        "rsa": None, "okp": None, "ec": "ES256",
    }  # fmt: skip


def test_keys_cost_time_in_proportion_to_their_number() -> None:
    """Many entries and one huge number: the work is bounded for both."""
    many = [jwk("good")] + [{"kty": "RSA", "kid": str(number), "n": "A" * 200_000, "e": "AQAB"} for number in range(99)]
    started = time.process_time()
    assert list(public_keys(many)) == ["good"]
    assert time.process_time() - started < 0.5
