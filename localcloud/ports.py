"""Free ports of this machine."""

from __future__ import annotations

import socket
import threading


class Ports:
    """Free ports, each returned once: nothing holds a port between its choice and the emulator's use of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[int] = set()

    def take(self) -> int:
        with self._lock:
            while (port := free_port()) in self._taken:
                pass
            self._taken.add(port)
            return port

    def release(self, *ports: int) -> None:
        with self._lock:
            self._taken.difference_update(ports)


def free_port() -> int:
    """A port of this machine on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
