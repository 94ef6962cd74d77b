"""Decoding in a child process with bounds of its own, for libraries that cannot be told any.

A file of AVIF or HEIC may hold another picture size than it declares, or one tile thousands of times: libavif and
libheif take what limits they have from constants, and follow. A child that may use only so much address space and
processor time ends with the picture, and so does a crash. It costs a fork, about 3 ms beside 100 ms or more of
decoding.
"""

from __future__ import annotations

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
from loupe.decoders import Picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from loupe.decoders import Plan

# Address space in bytes: to open a file, and for each pixel of the size that was checked. Decoding takes 8 to 20.
_OPEN_BYTES, _BYTES_FOR_A_PIXEL = 64 << 20, 24
# The largest pictures take 2 to 3 s of one vCPU. The wall clock is for a child that waits and does not compute.
_CPU_SECONDS, _WALL_SECONDS = 10, 25.0
_CHANNELS = 4
# The most that a setting may allow; also where there is no limit, as in training.
_MOST_PIXELS = 200_000_000
_MAX_PROFILE_BYTES = 4 << 20

# The child calls one decoder and ends; what other threads held when it began does not concern that.
warnings.filterwarnings("ignore", r".*use of fork\(\) may lead to deadlocks", DeprecationWarning)


class Raw(NamedTuple):
    """Pixels as a library left them: ``mode`` is Pillow's, rows follow each other without gaps.

    ``owner`` is what ``pixels`` may point into without holding it.
    """

    mode: str
    size: tuple[int, int]
    pixels: Any
    orientation: int = 1
    profile: bytes | None = None
    owner: object = None


def picture(decode: Callable[[bytes, Plan], Raw], data: bytes, plan: Plan) -> Picture:
    """Run ``decode`` in a child process and return what it decoded.

    Raises
    ------
    loupe.errors.ImageTooLarge, loupe.errors.ImageUndecodable
        What the child raised; or that it ran out of memory or time, or crashed.
    """
    if not hasattr(os, "fork"):
        raw = decode(data, plan)
        return Picture(Image.frombytes(raw.mode, raw.size, bytes(raw.pixels)), raw.orientation, raw.profile)
    shared = mmap.mmap(-1, _CHANNELS * min(plan.max_pixels, _MOST_PIXELS))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _work(decode, data, plan, shared, writer)
    os.close(writer)
    try:
        message = _message(reader, time.monotonic() + _WALL_SECONDS)
    finally:
        os.close(reader)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if message is None:
        raise errors.ImageUndecodable(
            "The image takes too much time or memory to decode. Save it again as a JPEG.", cause="ChildEnded"
        )
    if "problem" in message:
        kind = getattr(errors, message["problem"])
        raise kind(message["detail"], cause=message["cause"])
    width, height = message["size"]
    image = Image.frombuffer(message["mode"], (width, height), cast("bytes", shared), "raw", message["mode"], 0, 1)
    return Picture(image, message["orientation"], bytes.fromhex(message["profile"]) or None)


def _work(decode: Callable[[bytes, Plan], Raw], data: bytes, plan: Plan, shared: mmap.mmap, writer: int) -> None:
    """Decode, tell the parent, and end; in the child. Nothing of the parent's is flushed or cleaned up."""
    try:
        with os.fdopen(writer, "w", encoding="utf-8") as out:
            out.write(json.dumps(_outcome(decode, data, plan, shared)))
    finally:
        os._exit(0)


def _outcome(decode: Callable[[bytes, Plan], Raw], data: bytes, plan: Plan, shared: mmap.mmap) -> dict[str, Any]:
    from loupe.image import image_errors

    def check(size: tuple[int, int]) -> None:
        plan.check(size)
        _limit_memory(_OPEN_BYTES + _BYTES_FOR_A_PIXEL * size[0] * size[1])

    try:
        with image_errors("image"):
            _limit_time()
            _limit_memory(_OPEN_BYTES)
            raw = decode(data, plan._replace(check=check))
            plan.check(raw.size)
            view = memoryview(raw.pixels).cast("B")
            shared[: len(view)] = view
    except errors.Problem as problem:
        return {"problem": type(problem).__name__, "detail": problem.detail, "cause": problem.cause}
    profile = raw.profile if raw.profile and len(raw.profile) <= _MAX_PROFILE_BYTES else b""
    return {"mode": raw.mode, "size": raw.size, "orientation": raw.orientation, "profile": profile.hex()}


def _limit_memory(more: int) -> None:
    """Allow so many bytes of address space beyond what there is; where the system keeps count of it."""
    import resource

    with suppress(OSError, ValueError):
        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now + more, hard))


def _limit_time() -> None:
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))


def _message(reader: int, deadline: float) -> dict[str, Any] | None:
    """What the child said, None if it ended or did not answer in time."""
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
