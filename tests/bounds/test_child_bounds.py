"""Time and memory of decoding AVIF and HEIC in a child process."""

from __future__ import annotations

import ctypes
import functools
import resource
from collections.abc import Iterator

import heic_boxes
import images
import memory
import pytest
from images import RED
from loupe.card import InputSpec
from loupe.decoders import Plan, isolated
from loupe.errors import ImageTooLarge, ImageUndecodable, Problem
from loupe.image import Limits, decode
from phone_files import avif, heic_file, resized
from PIL import Image

SPEC = InputSpec("input", 20, 20)
PLAN = Plan(lambda _: None, SPEC, 1_000_000)


@functools.cache
def wide() -> bytes:
    """A file of 81 million pixels that declares 64 x 64; encoding it takes two seconds."""
    return resized(avif(Image.new("RGB", (9000, 9000), RED), quality=5, subsampling="4:2:0"), 64, 64)


def read(data: bytes) -> Image.Image:
    return decode(data, Limits(), SPEC)


def busy(*_: object) -> isolated.Raw:
    while True:
        pass


def usage() -> tuple[float, int]:
    """Return the children's processor time in seconds, and their page faults without reading."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime, children.ru_minflt


def test_more_pixels_than_declared_are_not_decoded() -> None:
    with pytest.raises(ImageUndecodable):
        read(resized(heic_file("4096"), 64, 64))
    with pytest.raises((ImageTooLarge, ImageUndecodable)):
        read(wide())


@pytest.fixture
def free_heap() -> Iterator[None]:
    """Leave 192 MiB free between blocks of this process's heap, as large images did in a warm function."""
    libc = ctypes.CDLL(None)
    libc.malloc.argtypes, libc.malloc.restype, libc.free.argtypes = (
        [ctypes.c_size_t],
        ctypes.c_void_p,
        [ctypes.c_void_p],
    )
    libc.free(libc.malloc(24 << 20))  # raises M_MMAP_THRESHOLD above the size of the blocks
    blocks = [libc.malloc(16 << 20) for _ in range(13)]
    last = blocks.pop()
    for block in blocks:
        libc.free(block)
    yield
    libc.free(last)


@pytest.mark.usefixtures("free_heap")
def test_a_child_does_not_use_the_free_heap_of_the_parent_beside_its_limit() -> None:
    with pytest.raises((ImageTooLarge, ImageUndecodable)):
        read(wide())
    assert read(avif(images.scene())).size == images.scene().size


def test_large_tile_with_a_small_declared_size_takes_no_memory_of_the_parent() -> None:
    if not memory.can_measure():
        pytest.skip("this kernel does not tell a process's peak memory")
    data = wide()

    def rejected() -> None:
        with pytest.raises(Problem):
            read(data)

    assert memory.growth(rejected) < 8 << 20


def test_nested_overlays_end_at_the_time_limit_of_their_size() -> None:
    """Each level of 70 bytes doubles the work: 16 levels would take minutes of processor time."""
    assert decode(heic_boxes.overlays(4), Limits(), SPEC).size == (64, 64)
    data, (before, _) = heic_boxes.overlays(16), usage()
    assert len(data) < 3000
    with pytest.raises(ImageUndecodable, match="too much time"):
        decode(data, Limits(), SPEC)
    assert usage()[0] - before < 2 * isolated._OPEN_SECONDS


def test_tiles_cost_little_more_than_in_this_process() -> None:
    """Without an arena, each thread of libheif would map and unmap every allocation: 37,000 page faults."""
    data, (_, before) = heic_boxes.grid(16, 16), usage()
    assert decode(data, Limits(), SPEC).size == (1024, 1024)
    assert usage()[1] - before < 15_000


def test_the_time_to_decode_begins_with_the_size_and_grows_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "_OPEN_SECONDS", 0.05)
    monkeypatch.setattr(isolated, "_SECONDS_FOR_A_MILLION", 0.3)

    def opened(_: bytes, plan: Plan) -> isolated.Raw:
        plan.check((1000, 1000))
        return busy()

    spent = []
    for work in (busy, opened):
        before, _ = usage()
        with pytest.raises(ImageUndecodable, match="too much time"):
            isolated.decode_in_child(work, b"", PLAN)
        spent.append(usage()[0] - before)
    assert spent[0] < 0.3
    # The timer counts ticks, and may end the child a few of them early.
    assert 0.25 < spent[1] < 0.8
