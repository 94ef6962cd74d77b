"""Image files made to break or occupy the decoder: every one is a client problem, at once."""

from __future__ import annotations

import contextlib
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import images
import pytest
from events import Context, rest
from fakes import make_app
from loupe.card import InputSpec
from loupe.errors import ImageTooLarge, ImageUndecodable
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
