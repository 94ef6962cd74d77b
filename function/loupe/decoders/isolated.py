"""Decode in a child process with resource limits, for libraries without configurable limits.

An AVIF or HEIC file may contain another image size than it declares, or one tile thousands of times; the limits of
libavif and libheif are constants. A child with limited address space and processor time ends with the image, and so
does a crash. It costs a fork, about 3 ms beside 100 ms or more of decoding.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import select
import signal
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from PIL import Image

from loupe import errors
from loupe.decoders import DecodedImage

if TYPE_CHECKING:
    from collections.abc import Callable

    from loupe.decoders import Plan

# Address space in bytes: to open a file, and for each pixel of the checked size. Decoding takes 8 to 20.
_OPEN_BYTES, _BYTES_FOR_A_PIXEL = 64 << 20, 24
# Processor time in seconds: to open a file, and to decode it by the checked size. The largest images take 2
# to 3 s of one vCPU, 0.12 s for a million pixels. Overlays of overlays double the work with each 70 bytes of a file.
_OPEN_SECONDS, _SECONDS_FOR_A_MILLION = 1.5, 0.2
# The kernel's limit, as a fallback of the timer. The wall clock limits a child that waits without computing; it ends
# before the function's timeout.
_CPU_SECONDS, _WALL_SECONDS = 10, 12.0
_CHANNELS = 4
# The largest value of the setting; also used without a limit, as in training.
_MAX_PIXELS = 200_000_000
_MAX_PROFILE_BYTES = 4 << 20
_MAX_FILES = 4096
# Free blocks of the heap in bytes that a child may not use, and how many are looked for.
_MAX_BLOCK, _MIN_BLOCK, _MAX_BLOCKS = 1 << 30, 1 << 20, 2048
# mallopt(3), malloc.h.
_M_ARENA_MAX = -8
_FATAL_SIGNALS = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGPROF, signal.SIGSEGV)
_CHILDREN: set[int] = set()

# The child calls one decoder and ends, so locks that other threads held at the fork do not matter.
warnings.filterwarnings("ignore", r".*use of fork\(\) may lead to deadlocks", DeprecationWarning)


class Raw(NamedTuple):
    """Pixels as a library returned them: ``mode`` is Pillow's, rows are contiguous.

    ``owner`` is the object whose memory ``pixels`` refers to.
    """

    mode: str
    size: tuple[int, int]
    pixels: Any
    orientation: int = 1
    profile: bytes | None = None
    owner: object = None


def decode_in_child(decode: Callable[[bytes, Plan], Raw], data: bytes, plan: Plan) -> DecodedImage:
    """Run ``decode`` in a child process and return what it decoded.

    Raises
    ------
    loupe.errors.ImageTooLarge, loupe.errors.ImageUndecodable
        The exception of the child, or that it exceeded its memory or time, or crashed.
    """
    if not hasattr(os, "fork"):
        raw = decode(data, plan)
        return DecodedImage(Image.frombytes(raw.mode, raw.size, bytes(raw.pixels)), raw.orientation, raw.profile)
    try:
        shared = mmap.mmap(-1, _CHANNELS * min(plan.max_pixels, _MAX_PIXELS))
        reader, child = _start(decode, data, plan, shared)
    except OSError as error:
        # No process, memory or descriptor is available, which is not caused by the file.
        raise errors.InternalError.from_exception(error) from error
    try:
        message = _message(reader, time.monotonic() + _WALL_SECONDS)
    finally:
        os.close(reader)
        _end(child)
    if message is None:
        raise errors.ImageUndecodable(
            "The image takes too much time or memory to decode. Save it again as a JPEG.", cause="ChildEnded"
        )
    if "problem" in message:
        kind = getattr(errors, message["problem"])
        raise kind(message["detail"], cause=message["cause"])
    width, height = message["size"]
    image = Image.frombuffer(message["mode"], (width, height), cast("bytes", shared), "raw", message["mode"], 0, 1)
    return DecodedImage(image, message["orientation"], bytes.fromhex(message["profile"]) or None)


def end_children() -> None:
    """End the running children: this process is about to be replaced, and would not wait for them."""
    for child in list(_CHILDREN):
        _end(child)


def _start(decode: Callable[[bytes, Plan], Raw], data: bytes, plan: Plan, shared: mmap.mmap) -> tuple[int, int]:
    """Fork, and return the reading end of a pipe and the child's process id.

    Raises
    ------
    OSError
        If the fork fails; no descriptor stays open.
    """
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reader)
        raise
    else:
        if child == 0:
            _work(decode, data, plan, shared, writer)
        _CHILDREN.add(child)
    finally:
        os.close(writer)
    return reader, child


def _end(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
    _CHILDREN.discard(child)


def _work(decode: Callable[[bytes, Plan], Raw], data: bytes, plan: Plan, shared: mmap.mmap, writer: int) -> None:
    """Decode, send the result to the parent, and exit; runs in the child. Parent state is not flushed or cleaned up."""
    try:
        _reset_signals()
        _close_others(writer)
        with os.fdopen(writer, "w", encoding="utf-8") as out:
            out.write(json.dumps(_outcome(decode, data, plan, shared)))
    finally:
        os._exit(0)


def _outcome(decode: Callable[[bytes, Plan], Raw], data: bytes, plan: Plan, shared: mmap.mmap) -> dict[str, Any]:
    from loupe.image import image_errors

    def check(size: tuple[int, int]) -> None:
        plan.check(size)
        pixels = size[0] * size[1]
        _limit_memory(_OPEN_BYTES + _BYTES_FOR_A_PIXEL * pixels)
        _limit_time(_OPEN_SECONDS + _SECONDS_FOR_A_MILLION * pixels / 1e6)

    try:
        with image_errors("image"):
            _limit_time(_OPEN_SECONDS)
            _use_one_arena()
            _occupy_free_memory()
            _limit_memory(_OPEN_BYTES)
            raw = decode(data, plan._replace(check=check))
            plan.check(raw.size)
            view = memoryview(raw.pixels).cast("B")
            shared[: len(view)] = view
    except errors.Problem as problem:
        return {"problem": type(problem).__name__, "detail": problem.detail, "cause": problem.cause}
    profile = raw.profile if raw.profile and len(raw.profile) <= _MAX_PROFILE_BYTES else b""
    return {"mode": raw.mode, "size": raw.size, "orientation": raw.orientation, "profile": profile.hex()}


def _limit_memory(more: int) -> bool:
    """Limit the additional address space in bytes; return False where the system does not account for it."""
    import resource

    try:
        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now + more, hard))
    except (OSError, ValueError):
        return False
    return True


def _close_others(writer: int) -> None:
    """Close inherited descriptors: sockets, and pipes of other children, which end with their last copy."""
    import resource

    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _MAX_FILES)
    os.closerange(3, writer)
    os.closerange(writer + 1, most)


def _reset_signals() -> None:
    """Restore the default handlers, so that a crash or the timer ends this process at once."""
    for number in _FATAL_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _use_one_arena() -> None:
    """Let all threads allocate from one heap.

    glibc would reserve 128 MiB of address space for each thread and, if the limit forbids it, map and unmap every
    allocation: libheif's thread for each tile would take 2 ms more.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _occupy_free_memory() -> None:
    """Allocate the free blocks of the heap, without writing to them.

    They are address space of this process already, so a decoder could use them beside its limit: up to
    M_TRIM_THRESHOLD, and what earlier images have left between blocks in use.
    """
    if not _limit_memory(0):
        return
    with suppress(AttributeError, OSError, MemoryError):
        allocate = ctypes.CDLL(None).malloc
        allocate.argtypes, allocate.restype = [ctypes.c_size_t], ctypes.c_void_p
        size = _MAX_BLOCK
        for _ in range(_MAX_BLOCKS):
            if not allocate(size):
                size //= 2
            if size < _MIN_BLOCK:
                break


def _limit_time(seconds: float) -> None:
    """Limit the processor time from now on; the signal of the timer ends the process."""
    import resource

    signal.setitimer(signal.ITIMER_PROF, seconds)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))


def _message(reader: int, deadline: float) -> dict[str, Any] | None:
    """Return the child's result, or None if it ended or exceeded its time."""
    poll, parts = select.poll(), []
    poll.register(reader, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0 and poll.poll(left * 1000):
        part = os.read(reader, 1 << 16)
        if not part:
            break
        parts.append(part)
    try:
        message: dict[str, Any] = json.loads(b"".join(parts))
    except ValueError:
        return None
    return message
