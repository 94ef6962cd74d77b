"""Stage timings of a request. The core measures them; entry points report them."""

from __future__ import annotations

import time


class Stages:
    """Milliseconds by stage, in order of first entry; repeated entries are added."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self._started = time.perf_counter()

    def __call__(self, name: str) -> _Stage:
        return _Stage(self.milliseconds, name)

    def add(self, other: Stages) -> None:
        """Add the stages of another object, for example of a batch's items, which run in parallel."""
        for name, value in other.milliseconds.items():
            self.milliseconds[name] = self.milliseconds.get(name, 0.0) + value

    def total(self) -> float:
        """Return the milliseconds since this object was created."""
        return (time.perf_counter() - self._started) * 1e3

    def server_timing(self) -> str:
        """Return the value of a ``Server-Timing`` header (W3C), durations in ms."""
        parts = [f"{name};dur={value:.2f}" for name, value in self.milliseconds.items()]
        return ", ".join([*parts, f"total;dur={self.total():.2f}"])


class _Stage:
    """Adds the duration of a ``with`` block to its stage, also if it raises."""

    __slots__ = ("_milliseconds", "_name", "_started")

    def __init__(self, milliseconds: dict[str, float], name: str) -> None:
        self._milliseconds, self._name = milliseconds, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        elapsed = (time.perf_counter() - self._started) * 1e3
        self._milliseconds[self._name] = self._milliseconds.get(self._name, 0.0) + elapsed
