"""HTTP connections to checked addresses, with one deadline for the whole exchange."""

from __future__ import annotations

import http.client
import io
import socket
import time
from contextlib import closing, contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

    from loupe.sources.addresses import Address

# Addresses of one host that are tried, alternating between families.
_MAX_ADDRESSES = 4
_IPV4 = 4


class Deadline:
    """A deadline ``seconds`` from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self._end

    def left(self) -> float:
        """Return the seconds that are left.

        Raises
        ------
        TimeoutError
            If none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not done within {self.seconds:g} s")
        return left


@contextmanager
def open_connection(
    addresses: Sequence[Address], port: int, name: str, deadline: Deadline, tls: ssl.SSLContext | None
) -> Iterator[http.client.HTTPConnection]:
    """Connect to the first address that responds. ``name`` is for TLS only and is not resolved again.

    Raises
    ------
    OSError
        If no address responds, or TLS fails. Reading raises TimeoutError at the deadline.
    """
    with closing(_dial(addresses, port, deadline)) as plain:
        plain.settimeout(deadline.left())
        stream = plain if tls is None else tls.wrap_socket(plain, server_hostname=name)
        with closing(stream):
            connection = http.client.HTTPConnection(name, port)
            connection.sock = cast("socket.socket", _TimedSocket(stream, deadline))
            yield connection


def _dial(addresses: Sequence[Address], port: int, deadline: Deadline) -> socket.socket:
    """Try the addresses in turn, each for its share of the remaining time."""
    tried = interleaved(addresses)[:_MAX_ADDRESSES]
    failure = OSError("no address")
    for position, address in enumerate(tried):
        stream = socket.socket(socket.AF_INET if address.version == _IPV4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            stream.settimeout(deadline.left() / (len(tried) - position))
            stream.connect((str(address), port))
        except OSError as error:
            stream.close()
            failure = error
        else:
            return stream
    raise failure


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Alternate between IPv6 and IPv4 in the resolver's order (RFC 8305, 4): one family may be unreachable."""
    first = [address for address in addresses if address.version == addresses[0].version]
    second = [address for address in addresses if address.version != addresses[0].version]
    return [address for pair in zip_longest(first, second) for address in pair if address is not None]


class _TimedSocket:
    """The part of a socket that `http.client` uses, with a deadline. A socket's timeout restarts with every byte."""

    def __init__(self, stream: socket.socket, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def sendall(self, data: Any) -> None:
        self._stream.settimeout(self._deadline.left())
        self._stream.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._stream, self._deadline))

    def close(self) -> None:
        """Leave the stream open: `http.client` closes its socket before the body; `open_connection` closes it."""


class _TimedReader(io.RawIOBase):
    def __init__(self, stream: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._stream, self._deadline = stream, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._stream.settimeout(self._deadline.left())
        return self._stream.recv_into(buffer)
