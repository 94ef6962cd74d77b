"""How long each stage of a request took. The core times itself; who reports it is the entry point's affair."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stages:
    """Milliseconds by stage, in the order in which they were entered; a stage entered twice adds up."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self._begun = time.perf_counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.milliseconds[name] = self.milliseconds.get(name, 0.0) + (time.perf_counter() - begun) * 1e3

    def add(self, other: Stages) -> None:
        """Add another's stages, as those of a batch's items, which run beside each other."""
        for name, value in other.milliseconds.items():
            self.milliseconds[name] = self.milliseconds.get(name, 0.0) + value

    def total(self) -> float:
        """Milliseconds since this object was made."""
        return (time.perf_counter() - self._begun) * 1e3

    def server_timing(self) -> str:
        """Return the value of a ``Server-Timing`` header (W3C), durations in ms."""
        parts = [f"{name};dur={value:.2f}" for name, value in self.milliseconds.items()]
        return ", ".join([*parts, f"total;dur={self.total():.2f}"])
