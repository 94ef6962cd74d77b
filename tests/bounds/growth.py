"""Growth tests: the work for an input grows at most linearly with the input's size.

A `Reader` is a call that reads what a caller sent. Its families make adversarial inputs of any size. `assert_linear`
times the call at sizes n, 2n and 4n in CPU time of this thread, and takes the least of several repeats. Quadratic work
would take 16 times as long at 4n as at n; `MAX_RATIO` lies between that and 4. On a shared machine the same work takes
many times its CPU time for some seconds, so a failure is measured again, together with work that never changes.

Readers are declared in the modules ``growth_*.py`` beside this one; ``test_growth.py`` runs them all.
"""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
# t(4n) / t(n): 4 is linear, 16 quadratic. The rest is for noise, caches and log factors.
MAX_RATIO = 10.0
# Below this a time says nothing about growth; the size is doubled until n takes as long.
MEASURABLE_SECONDS = 0.002
SMALLEST, LARGEST = 1024, 2 * MIB
REPEATS, ATTEMPTS = 3, 4
# Work that never changes, of about a millisecond: its time tells how slow the machine is at the moment.
REFERENCE = range(40_000)
REFERENCE_REPEATS = 10
# What the registry has to cover at the least.
AREAS = (
    "media type",
    "headers",
    "scans",
    "decoding",
    "JSON",
    "multipart",
    "base64",
    "URL",
    "redaction",
    "logging",
    "JWT",
    "JWKS",
    "cards",
    "S3 key",
    "batch",
)

Make = Callable[[int], Any]


@dataclass(frozen=True)
class Reader:
    """A call that reads caller bytes, with families of inputs.

    Attributes
    ----------
    area
        One of `AREAS`.
    covers
        The functions that the call exercises, as ``module:function``. Every public function in ``function/`` and
        ``authorizer/`` with a parameter of type ``bytes`` has to be covered by a reader.
    read
        The call under test; takes what a family made.
    families
        Name -> function that makes an input of about ``size`` bytes.
    seconds_per_mib
        Bound on the CPU time for each MiB of input, about ten times what it takes.
    rejects
        Exceptions by which the call rejects an input. Any other exception fails the test.
    largest
        Largest size of an input, in bytes: the limit that an entry point or a setting holds for it.
    base_seconds
        Bound on the CPU time of work that a limit ends whatever the size, about ten times what it takes.
    """

    area: str
    covers: tuple[str, ...]
    read: Callable[[Any], object]
    families: Mapping[str, Make]
    seconds_per_mib: float
    rejects: tuple[type[Exception], ...] = ()
    largest: int = LARGEST
    base_seconds: float = 0.0


def readers() -> list[Reader]:
    """Every reader of the modules ``growth_*.py``."""
    modules = sorted(path.stem for path in Path(__file__).parent.glob("growth_*.py"))
    return [reader for name in modules for reader in importlib.import_module(name).READERS]


def repeated(part: str | bytes, before: str | bytes = "", after: str | bytes = "") -> Make:
    """Make a family that repeats a part; text or bytes, as the part is."""

    def make(size: int) -> Any:
        count = max(1, size // len(part))
        if isinstance(part, bytes):
            return (before or b"") + part * count + (after or b"")  # type: ignore[operator]
        return f"{before!s}{part * count}{after!s}"

    return make


def assert_linear(
    read: Callable[[Any], object],
    make: Make,
    *,
    seconds_per_mib: float,
    rejects: tuple[type[Exception], ...] = (),
    largest: int = LARGEST,
    base_seconds: float = 0.0,
) -> None:
    """Fail if the call's work grows faster than the input, or takes more than its bound.

    Parameters
    ----------
    read, make, seconds_per_mib, rejects, largest, base_seconds
        As in `Reader`.
    """
    call = _call(read, rejects)
    fault, slowness = None, 1.0
    _reference()
    for _ in range(ATTEMPTS):
        fault = _fault(call, make, largest, base_seconds * slowness, seconds_per_mib * slowness)
        if fault is None:
            return
        slowness = _slowness()
    raise AssertionError(fault)


def _fault(
    call: Callable[[Any], None], make: Make, largest: int, base_seconds: float, seconds_per_mib: float
) -> str | None:
    """Measure once; return what is wrong, or None."""
    size = _measurable_size(call, make, largest)
    sizes, seconds = [size * factor for factor in (1, 2, 4)], []
    for count in sizes:
        seconds.append(_least_seconds(call, make(count)))
        allowed = base_seconds + seconds_per_mib * count / MIB + 2 * MEASURABLE_SECONDS
        # A call that is already far too slow is not tried with more.
        if seconds[-1] > allowed:
            return f"{count:,} bytes took {seconds[-1]:.3f} s of CPU time; at most {allowed:.3f} s are allowed"
    if seconds[-1] <= MAX_RATIO * max(seconds[0], MEASURABLE_SECONDS):
        return None
    times = ", ".join(f"{count:,} bytes {took * 1e3:.1f} ms" for count, took in zip(sizes, seconds, strict=True))
    return f"the work grows faster than the input: {times}"


def _measurable_size(call: Callable[[Any], None], make: Make, largest: int) -> int:
    """Return the smallest n that takes long enough, or the largest n with 4n within the limit."""
    size = SMALLEST
    while size * 8 <= largest:
        value = make(size)
        # A single long time may be a disturbance.
        if all(_least_seconds(call, value, count) >= MEASURABLE_SECONDS for count in (1, REPEATS)):
            break
        size *= 2
    return size


# CPU seconds of every reference so far.
_references: list[float] = []


def _reference() -> float:
    """Return the CPU seconds of unchanging work."""
    start = time.thread_time()
    for number in REFERENCE:
        number * number
    _references.append(time.thread_time() - start)
    return _references[-1]


def _slowness() -> float:
    """How many times its least CPU time unchanging work takes at the moment; at least 1."""
    now = [_reference() for _ in range(REFERENCE_REPEATS)]
    return sum(now) / len(now) / min(_references)


def _call(read: Callable[[Any], object], rejects: tuple[type[Exception], ...]) -> Callable[[Any], None]:
    def call(value: Any) -> None:
        try:
            read(value)
        except rejects:
            return

    return call


def _least_seconds(call: Callable[[Any], None], value: Any, repeats: int | None = None) -> float:
    times = []
    enabled = gc.isenabled()
    gc.disable()  # a collection belongs to what was allocated before
    try:
        for _ in range(repeats or REPEATS):
            start = time.thread_time()
            call(value)
            times.append(time.thread_time() - start)
    finally:
        if enabled:
            gc.enable()
    return min(times)
