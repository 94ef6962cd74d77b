"""Time to decode files made to occupy the decoder: scans, fill bytes and metadata."""

from __future__ import annotations

import contextlib
import struct
import time

import images
import pytest
from loupe.card import InputSpec
from loupe.errors import ImageUndecodable, Problem
from loupe.image import Limits, decode
from PIL import Image

SPEC = InputSpec("input", 20, 20)


def cpu_seconds(data: bytes, spec: InputSpec = SPEC) -> float:
    started = time.thread_time()
    with contextlib.suppress(Problem):
        decode(data, Limits(), spec)
    return time.thread_time() - started


def hidden_scans(count: int, side: int = 1000) -> bytes:
    """Scans behind a reserved marker that claims 65,535 bytes: libjpeg, looking for a restart, decodes them."""
    data = images.jpeg(Image.new("RGB", (side, side)), progressive=True)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    scan = data[first : first + 14]
    return (
        data[:first] + b"\xff\xdd\0\4\0\1" + scan + b"\xff\x02\xff\xff" + scan * count + data[second:]
    )  # fmt: skip


@pytest.mark.parametrize("count", [200, 4600])
def test_scans_that_no_walk_over_segments_finds_are_limited(count: int) -> None:
    """4,600 took 13 s."""
    with pytest.raises(ImageUndecodable, match="more than 100 scans"):
        decode(hidden_scans(count), Limits(), SPEC)
    assert cpu_seconds(hidden_scans(count)) < 0.5


def test_fill_bytes_after_a_scan_take_no_time() -> None:
    """40 KB took 7 s: each byte was tried as the beginning of a marker."""
    data = images.jpeg(progressive=True)
    place = data.index(b"\xff\xda") + 14
    assert cpu_seconds(data[:place] + b"\xff" * 90_000 + b"\0" + b"\xff\xda" * 200 + data[place:]) < 0.5


def test_the_largest_images_may_have_thirty_scans() -> None:
    data = images.jpeg(Image.new("RGB", (5000, 5000)), progressive=True)
    begin, end = data.rindex(b"\xff\xda"), len(data) - 2
    scans = data.count(b"\xff\xda")
    assert decode(data[:begin] + data[begin:end] * (31 - scans) + data[end:], Limits(), SPEC).size == (5000, 5000)
    with pytest.raises(ImageUndecodable, match="more than 30 scans"):
        decode(data[:begin] + data[begin:end] * (32 - scans) + data[end:], Limits(), SPEC)


def test_a_million_fractions_as_resolution_are_not_read() -> None:
    """Pillow reads the resolution of each JPEG without one in its header; the file says how many numbers that is."""
    count = 60_000
    entries = struct.pack(">HHHII", 2, 0x011A, 5, count, 38) + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    block = b"Exif\0\0MM\0*\0\0\0\x08" + entries + b"\0\0\0\1" * (2 * count)
    data = images.jpeg()
    # Pillow joins the segments.
    parts = [block[6:][place : place + 65_000] for place in range(0, len(block) - 6, 65_000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts)
    jfif = data.index(b"\xff\xe0")
    plain = data[:jfif] + data[jfif + 18 :]
    started = time.thread_time()
    assert decode(plain[:2] + segments + plain[2:], Limits(), SPEC).size == (64, 96)
    assert time.thread_time() - started < 0.2
