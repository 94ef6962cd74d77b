"""Bytes to images: formats, modes, orientation, and limits that hold before anything is decoded."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
from typing import Any

import images
import numpy as np
import pytest
from images import BLUE, RED, WHITE
from loupe.card import InputSpec, Resize
from loupe.errors import ImageTooLarge, ImageUndecodable, UnsupportedMediaType
from loupe.image import Limits, decode, media_type_of
from PIL import Image

SPEC = InputSpec("input", 20, 20)
GREY = InputSpec("input", 20, 20, color="L", mean=(0.0,), std=(1.0,))
LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)


def read(data: bytes, spec: InputSpec = SPEC, limits: Limits = LIMITS) -> Image.Image:
    return decode(data, limits, spec)


def difference(image: Image.Image, expected: Image.Image) -> float:
    """Mean absolute difference of two images, in 8-bit steps."""
    assert image.size == expected.size
    return float(np.abs(np.asarray(image, float) - np.asarray(expected.convert(image.mode), float)).mean())


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif"])
def test_every_format_is_detected_by_content(kind: str) -> None:
    data = getattr(images, kind)()
    assert media_type_of(data) == f"image/{kind}"
    image = read(data)
    assert image.mode == "RGB"
    # A GIF has 256 colours.
    assert difference(image, images.scene()) < {"jpeg": 2, "gif": 8}.get(kind, 0.01)


@pytest.mark.parametrize(
    "content", [b"<svg/>", b"BM" + bytes(60), b"II*\0" + bytes(60), b"%PDF-1.7", b"x", b"RIFF1234WAVE"]
)
def test_other_content_is_rejected_with_the_accepted_formats(content: bytes) -> None:
    with pytest.raises(UnsupportedMediaType, match="JPEG, PNG, WebP, GIF, AVIF or HEIC"):
        read(content)


def test_empty_bytes_are_not_an_image() -> None:
    with pytest.raises(ImageUndecodable, match="empty"):
        read(b"")


MODES: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "RGBA half red over white": (images.png(images.solid((255, 0, 0, 128), mode="RGBA")), (255, 127, 127)),
    "RGBA clear": (images.png(images.solid((1, 2, 3, 0), mode="RGBA")), WHITE),
    "RGBA opaque": (images.png(images.solid((1, 2, 3, 255), mode="RGBA")), (1, 2, 3)),
    "LA half": (images.png(images.solid((0, 128), mode="LA")), (127, 127, 127)),
    "L": (images.png(images.solid(77, mode="L")), (77, 77, 77)),
    "L with a clear value": (images.png(images.solid(77, mode="L"), transparency=77), WHITE),
    "RGB with a clear colour": (images.png(images.solid(BLUE), transparency=BLUE), WHITE),
    "1 bit": (images.png(images.solid(1, mode="1")), WHITE),
    "P": (images.png(images.solid(RED).quantize(4)), RED),
    "P with a clear index": (images.png(images.solid(RED).quantize(4), transparency=0), WHITE),
    "P with half-clear indexes": (images.png(images.solid(RED).quantize(4), transparency=b"\x80"), (255, 127, 127)),
    "16-bit grey": (images.png(Image.new("I;16", (64, 48), 0x4D80)), (0x4D, 0x4D, 0x4D)),
    "16-bit RGB": (
        images.png_of(2, 2, (b"\0" + struct.pack(">HHH", 0x11FF, 0x2200, 0x3380) * 2) * 2, depth=16),
        (0x11, 0x22, 0x33),
    ),
    "16-bit grey with a clear value": (images.png(Image.new("I;16", (64, 48), 0x4D80), transparency=0x4D80), WHITE),
    "16-bit grey with another value clear": (
        images.png(Image.new("I;16", (64, 48), 0x4D80), transparency=0x4D81),
        (0x4D, 0x4D, 0x4D),
    ),
    "GIF with a clear index": (images.gif(images.solid(RED).quantize(4), transparency=0), WHITE),
    "JPEG grey": (images.jpeg(images.solid(77, mode="L")), (77, 77, 77)),
    "JPEG CMYK": (images.jpeg(images.solid((0, 255, 255, 0), mode="CMYK")), RED),
    "WebP with alpha": (images.webp(images.solid((255, 0, 0, 128), mode="RGBA"), exact=True), (255, 127, 127)),
    "WebP lossy with alpha": (images.webp(images.solid((0, 0, 0, 0), mode="RGBA"), lossless=False), WHITE),
}


@pytest.mark.parametrize("case", MODES)
def test_every_mode_becomes_rgb_over_white(case: str) -> None:
    data, expected = MODES[case]
    image = read(data)
    assert image.mode == "RGB"
    pixels = np.asarray(image).reshape(-1, 3).astype(int)
    assert np.abs(pixels - expected).max() <= (2 if "JPEG" in case else 1)


@pytest.mark.parametrize("case", MODES)
def test_every_mode_becomes_grey_for_a_grey_model(case: str) -> None:
    data, (red, green, blue) = MODES[case]
    image = read(data, GREY)
    assert image.mode == "L"
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    assert abs(np.asarray(image).astype(float).mean() - luma) <= 2


def test_cmyk_of_adobe_is_not_inverted() -> None:
    data = images.jpeg(images.solid((0, 0, 0, 0), mode="CMYK"))
    assert b"Adobe" in data
    assert np.asarray(read(data)).min() >= 253


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("draft", [0, 1])
def test_exif_orientation_is_applied(kind: str, orientation: int, draft: int) -> None:
    scene = images.scene((320, 160))
    stored = images.turned_away(scene, orientation)
    data = getattr(images, kind)(stored, exif=images.exif(orientation))
    image = read(data, InputSpec("input", 40, 20, jpeg_draft=draft))
    if kind == "jpeg" and draft:
        assert image.size == (40, 20)
        scene = scene.resize(image.size, Image.Resampling.BOX)
    assert difference(image, scene) < 2.5


@pytest.mark.parametrize(
    ("kind", "value"), [(3, 0), (3, 9), (3, 60000), (2, 0x3600), (4, 1 << 31), (5, 6), (12, 6), (7, 6), (99, 6)]
)
def test_invalid_orientation_is_ignored(kind: int, value: int) -> None:
    # A big-endian TIFF block with one entry: tag 274, of a type that is not what the standard says, or out of range.
    entry = struct.pack(">HHI", 0x0112, kind, 1) + (
        struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
    )
    block = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + bytes(4)
    assert difference(read(images.jpeg(exif=block)), images.scene()) < 2


@pytest.mark.parametrize(
    "block", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0" + bytes(40)]
)
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_broken_exif_is_ignored(kind: str, block: bytes) -> None:
    assert difference(read(getattr(images, kind)(exif=block)), images.scene()) < 2


@pytest.mark.parametrize(("fit", "shortest"), [("stretch", None), ("crop", None), ("crop", 30), ("pad", None)])
@pytest.mark.parametrize("size", [(640, 480), (481, 161), (161, 1281), (20, 20), (7, 5)])
def test_scaled_decoding_keeps_what_the_resize_needs(fit: Any, shortest: int | None, size: tuple[int, int]) -> None:
    spec = InputSpec("input", 20, 24, jpeg_draft=2, resize=Resize(fit=fit, shortest=shortest))
    image = read(images.jpeg(images.scene(size)), spec)
    for side, full, needed in zip(image.size, size, spec.resized(*size), strict=True):
        assert side >= min(full, 2 * needed)
        assert side <= full


def test_without_scaled_decoding_a_jpeg_is_decoded_in_full() -> None:
    assert read(images.jpeg(images.scene((640, 480)))).size == (640, 480)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif"])
def test_one_byte_over_the_limit_is_rejected(kind: str) -> None:
    data = getattr(images, kind)()
    assert read(data, limits=Limits(len(data), 10_000)).mode == "RGB"
    with pytest.raises(ImageTooLarge, match="bytes"):
        read(data, limits=Limits(len(data) - 1, 10_000))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif"])
def test_one_pixel_over_the_limit_is_rejected(kind: str) -> None:
    data = getattr(images, kind)(images.solid(size=(100, 100)))
    assert read(data, limits=Limits(100_000, 10_000)).size == (100, 100)
    with pytest.raises(ImageTooLarge, match="100 x 100 pixels"):
        read(data, limits=Limits(100_000, 9_999))


def test_a_declared_size_allocates_nothing() -> None:
    data = images.png_of(100_000, 100_000, bytes(30_001))
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge, match="100000 x 100000"):
            read(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif"])
def test_truncated_file_is_rejected(kind: str) -> None:
    data = getattr(images, kind)()
    for share in (0.02, 0.3, 0.5, 0.9, 0.99):
        with pytest.raises((ImageUndecodable, UnsupportedMediaType)):
            read(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif"])
def test_bytes_after_the_image_are_ignored(kind: str) -> None:
    data = getattr(images, kind)()
    assert difference(read(data + b"\0" * 300 + b"trailing"), read(data)) == 0


def test_progressive_jpeg() -> None:
    assert difference(read(images.jpeg(progressive=True)), images.scene()) < 2


def test_jpeg_of_several_images_is_decoded_to_the_first() -> None:
    data = images.encode(images.scene(), "MPO", save_all=True, append_images=[images.solid()], quality=95)
    assert media_type_of(data) == "image/jpeg"
    assert difference(read(data), images.scene()) < 3


def test_animation_is_decoded_to_its_first_frame() -> None:
    data = images.webp(images.solid(RED), save_all=True, append_images=[images.solid(BLUE)] * 3)
    assert read(data).getpixel((5, 5)) == RED
    data = images.png(images.solid(RED), save_all=True, append_images=[images.solid(BLUE)] * 3)
    assert read(data).getpixel((5, 5)) == RED
    data = images.gif(images.solid(RED), save_all=True, append_images=[images.solid(BLUE)] * 3)
    assert read(data).getpixel((5, 5)) == RED


@pytest.mark.parametrize("options", [{}, {"lossless": False}, {"exif": images.exif(1)}])
@pytest.mark.parametrize("alpha", [False, True])
def test_webp_is_decoded_as_pillow_decodes_it(options: dict[str, Any], alpha: bool) -> None:
    """The first frame is taken past Pillow's own ``load`` to save memory; what it shows is the same."""
    scene = images.scene()
    if alpha:
        scene.putalpha(scene.getchannel(2))
    data = images.webp(scene, **options)
    whole = Image.open(io.BytesIO(data)).convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
    assert np.abs(np.asarray(read(data), int) - np.asarray(expected.convert("RGB"), int)).max() <= 1


def test_alpha_is_composited_over_white_across_strips() -> None:
    tall = images.scene((1100, 2000))
    tall.putalpha(tall.getchannel(0))
    expected = Image.alpha_composite(Image.new("RGBA", tall.size, "white"), tall).convert("RGB")
    image = read(images.png(tall, compress_level=1), limits=Limits(10_000_000, 3_000_000))
    assert np.abs(np.asarray(image, int) - np.asarray(expected, int)).max() <= 1


def test_more_pixels_per_byte_than_allowed_are_rejected() -> None:
    blank = images.png(Image.new("1", (2000, 1000), 1))
    limits = Limits(max_pixels=3_000_000, max_pixels_per_byte=2_000_000 // len(blank) + 1)
    assert read(blank, limits=limits).size == (2000, 1000)
    with pytest.raises(ImageTooLarge, match="decompression bombs"):
        read(blank, limits=limits._replace(max_pixels_per_byte=limits.max_pixels_per_byte - 2))


def test_small_plain_images_may_have_any_ratio() -> None:
    data = images.webp(images.solid(RED, (1000, 1000)))
    assert len(data) < 200
    assert read(data).getpixel((500, 500)) == RED


def test_jpeg_of_many_scans_is_rejected() -> None:
    data = images.jpeg(progressive=True)
    begin, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    assert read(data[:begin] + data[begin:end] * 20 + data[end:]).mode == "RGB"
    with pytest.raises(ImageUndecodable, match="more than 100 scans"):
        read(data[:begin] + data[begin:end] * 200 + data[end:])


def test_file_of_many_tiny_parts_is_rejected() -> None:
    data = images.png()
    with pytest.raises(ImageUndecodable, match="too many tiny parts"):
        read(data[:33] + images.chunk(b"abCd", b"") * 60_000 + data[33:])


def test_jpeg_with_a_padded_header_is_rejected_as_fast() -> None:
    """Pillow reads bytes of filling one by one; an ordinary JPEG's header is too short to be watched for that."""
    data = images.jpeg()
    assert read(data[:2] + b"\xff" * 50_000 + data[2:])
    with pytest.raises(ImageUndecodable, match="too many tiny parts"):
        read(data[:2] + b"\xff" * 150_000 + data[2:])


def test_pillows_warning_of_bombs_is_an_error() -> None:
    """A frame that only shows inside Pillow: larger than the screen, and than Pillow's own bound, in a small GIF."""
    data = images.gif(images.solid(RED))
    descriptor = data.index(b",\0\0\0\0")
    data = data[: descriptor + 5] + struct.pack("<HH", 10_000, 10_000) + data[descriptor + 9 :]
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with pytest.raises(ImageTooLarge):
            read(data)


def test_details_name_no_path_and_no_library() -> None:
    for broken in (images.png()[:60], images.jpeg()[:100], images.webp()[:40]):
        with pytest.raises(ImageUndecodable) as caught:
            read(broken)
        assert not {"/", "Pillow", "PIL", "Traceback"} & set(caught.value.detail.split())
        assert caught.value.__cause__ is None


def test_the_given_bytes_are_not_changed() -> None:
    data = images.png(images.solid((255, 0, 0, 128), mode="RGBA"))
    before = bytes(data)
    read(data)
    assert io.BytesIO(data).read() == before


@pytest.mark.parametrize(
    ("declared", "accepted"), [(None, True), ((40, 30), True), ((30, 40), True), ((41, 30), True), ((39, 30), False)]
)
def test_more_pixels_than_declared_are_rejected(
    monkeypatch: pytest.MonkeyPatch, declared: tuple[int, int] | None, accepted: bool
) -> None:
    """Memory was planned for the declared size; a format without a declared size is checked by its decoder."""
    monkeypatch.setattr("loupe.image.declared_size", lambda *_: declared)
    data = images.png(images.solid(size=(40, 30)))
    if accepted:
        assert read(data).size == (40, 30)
    else:
        with pytest.raises(ImageUndecodable, match="contradict each other about its size"):
            read(data)


def test_the_declared_size_is_checked_before_the_decoder_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loupe.image.declared_size", lambda *_: (10_000, 10_000))
    monkeypatch.setattr("loupe.image.import_module", lambda _: pytest.fail("the decoder was called"))
    with pytest.raises(ImageTooLarge):
        decode(images.png(images.solid(size=(40, 30))), Limits(max_pixels=1_000_000), SPEC)
