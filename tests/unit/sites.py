"""Web sites on the loopback interface that answer as a test says, byte by byte if need be."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"


@dataclass
class Visit:
    """One request, and the means to answer it."""

    request: bytes
    site: Site
    _send: Callable[[bytes], Any]

    @property
    def path(self) -> str:
        return self.request.split(b" ")[1].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.request.decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}

    def send(self, data: bytes) -> None:
        self._send(data)
        self.site.bytes_sent += len(data)

    def answer(self, body: bytes, status: str = "200 OK", **headers: Any) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def redirect(self, location: str, status: str = "302 Found") -> None:
        self.answer(b"", status, Location=location)

    def trickle(self, data: bytes, every: float = 0.01) -> None:
        """One byte after the other, until the other side or the test has had enough."""
        for value in data:
            self.send(bytes([value]))
            if self.site.closing.wait(every):
                return


@dataclass
class Site:
    port: int
    visits: list[Visit] = field(default_factory=list)
    bytes_sent: int = 0
    connections: int = 0
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def site(answer: Callable[[Visit], None], tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve until the block ends."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            lines = []
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                lines.append(line)
            visit = Visit(b"".join(lines), served, self.request.sendall)
            served.visits.append(visit)
            answer(visit)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        block_on_close = False

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            served.connections += 1
            try:
                if tls is not None:
                    request = tls.wrap_socket(request, server_side=True)
                super().process_request_thread(request, client_address)
            except OSError:
                request.close()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """The other side hangs up in many of these tests."""

    with Server((HOST, 0), Handler) as server:
        served = Site(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield served
        finally:
            served.closing.set()
            server.shutdown()
            thread.join()
