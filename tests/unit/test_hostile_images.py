"""Image files made to break or occupy the decoder: every one is a client problem, at once."""

from __future__ import annotations

import contextlib
import json
import struct
import time
import zlib
from typing import TYPE_CHECKING, Any

import images
import pytest
from events import Context, rest
from fakes import make_app
from loupe.card import InputSpec
from loupe.errors import ImageTooLarge, ImageUndecodable, Problem
from loupe.exif import read_orientation
from loupe.image import Limits, decode
from PIL import Image, PngImagePlugin

if TYPE_CHECKING:
    from loupe.classifier import Classifier

SPEC = InputSpec("input", 20, 20)
SRGB = SPEC._replace(icc="srgb")
KEYS = (b"xmp", b"exif", b"transparency", b"icc_profile", b"interlace", b"Raw profile type exif", b"gamma",
        b"XML:com.adobe.xmp", b"default_image", b"disposal", b"blend", b"duration")  # fmt: skip


def with_chunks(data: bytes, *chunks: bytes, behind: bool = False) -> bytes:
    place = len(data) - 12 if behind else 33
    return data[:place] + b"".join(chunks) + data[place:]


def texts(key: bytes, value: bytes) -> list[bytes]:
    return [
        images.chunk(b"tEXt", key + b"\0" + value),
        images.chunk(b"zTXt", key + b"\0\0" + zlib.compress(value)),
        images.chunk(b"iTXt", key + b"\0\0\0\0\0" + value),
        images.chunk(b"iTXt", key + b"\0\1\0\0\0" + zlib.compress(value)),
    ]


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("mode", ["RGB", "P", "L", "1", "LA", "RGBA", "I;16"])
def test_text_chunks_of_any_name_do_not_concern_the_pixels(mode: str, key: bytes, behind: bool) -> None:
    image = Image.new("L", (8, 8), 40).convert("I;16") if mode == "I;16" else images.scene((8, 8)).convert(mode)
    data = images.png(image)
    expected = decode(data, Limits(), SPEC).tobytes()
    for chunk in texts(key, b"x\n" * 9 + b"1"):
        for spec in (SPEC, SRGB):
            assert decode(with_chunks(data, chunk, behind=behind), Limits(), spec).tobytes() == expected


def test_only_the_first_color_profile_of_a_png_is_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    # 1 KB each, 1 MB inflated: thousands fit into one file.
    packed = images.chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(1 << 20), 9))
    inflated: list[int] = []

    def inflate(data: bytes) -> bytes:
        inflated.append(len(data))
        return zlib.decompress(data)

    monkeypatch.setattr(PngImagePlugin, "_safe_zlib_decompress", inflate)
    plain = images.png()
    hostile = with_chunks(with_chunks(plain, *[packed] * 500), *[packed] * 500, behind=True)
    assert decode(hostile, Limits(), SRGB).tobytes() == decode(plain, Limits(), SRGB).tobytes()
    assert len(inflated) == 1


@pytest.mark.parametrize(
    "chunk",
    [
        images.chunk(b"iCCP", b"no end of a name"),
        images.chunk(b"iCCP", b""),
        images.chunk(b"tRNS", b""),
        images.chunk(b"pHYs", b"\0"),
        images.chunk(b"cHRM", b"\0\0\0"),
        images.chunk(b"acTL", b"\0"),
        images.chunk(b"fcTL", b"\0" * 3),
        images.chunk(b"fdAT", b""),
        images.chunk(b"zTXt", b"key\0\7not packed"),
        images.chunk(b"IHDR", b"\0"),
        # Pillow takes the frame's place from there.
        images.chunk(b"tEXt", b"bbox\0x"),
    ],
)
def test_broken_chunks_are_undecodable_or_ignored(chunk: bytes) -> None:
    for mode in ("RGB", "P", "L"):
        for behind in (False, True):
            data = with_chunks(images.png(images.scene((8, 8)).convert(mode)), chunk, behind=behind)
            with contextlib.suppress(ImageUndecodable):
                assert decode(data, Limits(), SPEC).size == (8, 8)


@pytest.mark.parametrize("error", [struct.error("x"), IndexError("x"), SystemError("x"), RecursionError("x"),
                                   AssertionError("x"), zlib.error("x"), KeyError("secret")])  # fmt: skip
def test_any_decoder_exception_is_undecodable_and_its_type_is_logged(
    error: Exception, classifier: Classifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL.PngImagePlugin import PngImageFile

    def raises(_: object) -> None:
        raise error

    monkeypatch.setattr(PngImageFile, "load", raises)
    answer = make_app(classifier).http(rest(body=images.png()), Context())
    assert answer["statusCode"] == 422
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (line["level"], line["code"], line["cause"]) == ("INFO", "image_undecodable", type(error).__name__)
    assert "exception" not in line
    assert type(error).__name__ not in answer["body"]


def test_missing_memory_is_image_too_large_and_logged(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raises(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "resize", raises)
    assert make_app(classifier).http(rest(body=images.png()), Context())["statusCode"] == 413
    assert json.loads(capsys.readouterr().out.splitlines()[0])["cause"] == "MemoryError"


def cpu_seconds(data: bytes, spec: InputSpec = SPEC) -> float:
    begun = time.thread_time()
    with contextlib.suppress(Problem):
        decode(data, Limits(), spec)
    return time.thread_time() - begun


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


def test_bytes_after_a_photo_may_be_anything() -> None:
    """A film behind a photo (Motion Photo), a second image (MPO, gain map) and profiles have FF DA by chance."""
    photo = images.jpeg(progressive=True, exif=images.exif(1) + images.jpeg())
    assert decode(photo + b"\xff\xda\0\2" * 500, Limits(), SPEC).tobytes() == decode(photo, Limits(), SPEC).tobytes()


def test_decoder_that_finds_more_pixels_than_declared_is_stopped() -> None:
    """A batch plans its memory by the first header; libjpeg begins anew after an end, and takes the second."""
    small, large = images.jpeg(images.solid(size=(8, 8))), images.jpeg(images.solid(size=(800, 800)))
    frame = small.index(b"\xff\xc0")
    data = small[: frame + 19] + b"\xff\xd9" + large
    with pytest.raises(ImageUndecodable, match="contradict"):
        decode(data, Limits(), SPEC)


def test_images_after_an_end_without_a_frame_are_read() -> None:
    tables = images.jpeg()
    frame = tables.index(b"\xff\xc0")
    assert decode(tables[:frame] + b"\xff\xd9" + images.jpeg(), Limits(), SPEC).size == (96, 64)


def test_a_gif_prepares_nothing_for_later_frames() -> None:
    data = images.gif(images.solid(images.RED))
    place = data.index(b",\0\0\0\0")
    for method in (2, 3):
        control = bytes([0x21, 0xF9, 4, method << 2 | 1, 0, 0, 0, 0])
        assert decode(data[:place] + control + data[place:], Limits(), SPEC).size == (64, 48)
        wide = data[:place] + control + data[place : place + 5] + struct.pack("<HH", 9000, 9000) + data[place + 9 :]
        with pytest.raises((ImageTooLarge, ImageUndecodable)):
            decode(wide, Limits(), SPEC)


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
    begun = time.thread_time()
    assert decode(plain[:2] + segments + plain[2:], Limits(), SPEC).size == (64, 96)
    assert time.thread_time() - begun < 0.2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["H", "I"])
def test_the_orientation_is_found_among_other_entries(order: str, kind: str) -> None:
    def entry(tag: int, number: int) -> bytes:
        code = {"H": 3, "I": 4}[kind]
        return struct.pack(order + "HHI", tag, code, 1) + struct.pack(order + kind, number).ljust(4, b"\0")

    block = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HIH", 42, 8, 3)
    block += entry(0x010F, 9) + entry(0x0112, 6) + entry(0x0131, 2)
    assert read_orientation(block) == read_orientation(b"Exif\0\0" + block) == 6
    # Cut off after the entry, the value is still read; before it, it is not.
    assert read_orientation(block[: 10 + 24]) == 6
    assert read_orientation(block[: 10 + 23]) == 1


def test_xmp_orientation_is_used_without_exif() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    assert read_orientation(None, xmp) == 8
    assert read_orientation(images.exif(3), xmp) == 3
    assert read_orientation(None, b"<tiff:Orientation>9<") == 1
    image = images.scene((32, 16))
    assert decode(images.webp(image, xmp=xmp), Limits(), SPEC).size == (16, 32)
