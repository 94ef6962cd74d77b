"""Detection of format and declared size from a file's first bytes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import images
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loupe import formats
from loupe.formats import DEFAULT_FORMATS, FORMATS, declared_size, media_type_of, names_of, up_to_scans

FUNCTION = Path(__file__).resolve().parents[2] / "function"
KINDS = ["jpeg", "png", "webp", "gif"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_format_is_detected_by_content(kind: str) -> None:
    data = getattr(images, kind)()
    assert media_type_of(data) == f"image/{kind}"
    assert kind in FORMATS


def _container(brand: bytes, *others: bytes) -> bytes:
    box = b"ftyp" + brand + bytes(4) + b"".join(others)
    return (len(box) + 4).to_bytes(4, "big") + box + bytes(40)


@pytest.mark.parametrize(("brand", "others", "kind"), [
    *((brand, (b"mif1",), "heic") for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")),
    (b"avif", (b"mif1", b"miaf"), "avif"),
    (b"avis", (b"msf1",), "avif"),
    (b"mif1", (b"miaf", b"heic"), "heic"),
    (b"mif1", (b"mif1", b"avif"), "avif"),
    (b"msf1", (b"hevc",), "heic"),
    (b"msf1", (b"avis",), "avif"),
    (b"mif1", (), "heic"),
    (b"isom", (b"heic",), None),
    (b"mp42", (), None),
    (b"qt  ", (), None),
])  # fmt: skip
def test_avif_and_heic_are_detected_by_their_brands(brand: bytes, others: tuple[bytes, ...], kind: str | None) -> None:
    assert media_type_of(_container(brand, *others)) == (kind and f"image/{kind}")


def test_bmp_and_tiff_are_detected_by_content() -> None:
    assert media_type_of(images.encode(images.scene(), "BMP")) == "image/bmp"
    assert media_type_of(images.encode(images.scene(), "TIFF")) == "image/tiff"
    for text in (b"BM is how this text begins, and it goes on", b"BM" + bytes(60)):
        assert media_type_of(text) is None


def test_formats_are_listed_for_messages() -> None:
    assert names_of(DEFAULT_FORMATS) == "JPEG, PNG, WebP, GIF, AVIF or HEIC"
    assert names_of(("png",)) == "PNG"


@pytest.mark.parametrize("size", [(1, 1), (300, 200), (1, 4097)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_declared_size_is_read_from_the_header(kind: str, size: tuple[int, int]) -> None:
    data = getattr(images, kind)(images.solid(size=size))
    assert declared_size(data, f"image/{kind}") == size


@pytest.mark.parametrize("options", [{"lossless": False}, {"lossless": False, "exif": images.exif(1)}, {"exif": b"x"}])
def test_every_layout_of_webp(options: dict[str, object]) -> None:
    assert declared_size(images.webp(images.solid(size=(301, 203)), **options), "image/webp") == (301, 203)


@pytest.mark.parametrize("options", [{"progressive": True}, {"exif": images.exif(6)}, {"comment": b"\xff\xc0" * 9}])
def test_every_layout_of_jpeg(options: dict[str, object]) -> None:
    assert declared_size(images.jpeg(images.solid(size=(301, 203)), **options), "image/jpeg") == (301, 203)


@pytest.mark.parametrize("kind", KINDS)
def test_short_header_declares_no_size(kind: str) -> None:
    data = getattr(images, kind)()
    for length in range(3, 29):
        assert declared_size(data[:length], f"image/{kind}") is None


def test_search_for_a_missing_header_is_bounded() -> None:
    assert declared_size(b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000, "image/jpeg") is None
    assert declared_size(b"\xff\xd8" + bytes(1000), "image/jpeg") is None
    assert declared_size(b"\xff\xd8" + b"\xff\xfe\0\0" * 100, "image/jpeg") is None


def test_jpeg_is_cut_before_the_first_scan_over_the_limit() -> None:
    progressive = images.jpeg(progressive=True)
    scans = progressive.count(b"\xff\xda")
    assert scans > 5
    assert up_to_scans(progressive, scans) is progressive
    assert up_to_scans(progressive, scans - 1) == progressive[: progressive.rindex(b"\xff\xda")]


@pytest.mark.parametrize(
    "place", [b"\xff\xfe\0\4\xff\xda", b"\xff\xff\xff\xda", b"\xff\x02\xff\xff\xff\xda", b"\0\xff\xda"]
)
def test_scans_count_at_any_position(place: bytes) -> None:
    """In a comment, behind fill bytes, in a segment that does not exist, behind the end: no walk decides."""
    data = images.jpeg() + place * 9
    assert up_to_scans(data, 1).count(b"\xff\xda") == 1
    assert up_to_scans(data, 10) is data


@given(st.lists(st.sampled_from([b"\xff", b"\xda", b"\xff\xda", b"\0", b"x"])), st.integers(0, 5))
def test_no_cut_leaves_more_scans_than_allowed(parts: list[bytes], limit: int) -> None:
    data = b"".join(parts)
    cut = up_to_scans(data, limit)
    assert data.startswith(cut)
    assert cut.count(b"\xff\xda") == min(limit, data.count(b"\xff\xda"))


LOADED = """
import json, sys
import loupe.image
from loupe.card import InputSpec
before = [name for name in sys.modules if name.startswith("PIL.")]
loupe.image.decode(sys.stdin.buffer.read(), loupe.image.Limits(), InputSpec("input", 20, 20))
print(json.dumps([before, [name for name in sys.modules if name.startswith("PIL.")]]))
"""
PLUGINS = {"jpeg": "PIL.JpegImagePlugin", "png": "PIL.PngImagePlugin", "webp": "PIL.WebPImagePlugin",
           "gif": "PIL.GifImagePlugin"}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_required_decoder_is_loaded(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::PIL.Image.DecompressionBombWarning", "-c", LOADED],
        input=getattr(images, kind)(), capture_output=True, check=True, env={"PYTHONPATH": str(FUNCTION)},
    )  # fmt: skip
    before, after = json.loads(done.stdout)
    assert not {name for name in before if name.endswith("Plugin")}
    loaded = {name for name in after if name.endswith("Plugin")}
    # Without EXIF data there is no need for the TIFF reader either.
    assert loaded == {PLUGINS[kind]}
    assert "PIL.ImageCms" not in after


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4095, 4096, 4097, 100_001])
def test_scans_are_counted_at_any_position(size: int) -> None:
    generator = random.Random(size)
    for alphabet in (b"\xff\xda", b"\xff\xda\x00", bytes(range(256))):
        data = bytes(generator.choices(alphabet, k=size))
        assert formats._scans(data) == data.count(b"\xff\xda")


SEGMENT = b"\x00\x04\x11\x22"
FRAME = b"\xff\xc0\x00\x0b\x08" + (203).to_bytes(2, "big") + (301).to_bytes(2, "big") + b"\x01\x01\x11\x00" + bytes(20)


@pytest.mark.parametrize("code", [0xC4, 0xC8, 0xCC, 0xDB, 0xE0, 0xFE])
def test_segments_that_are_no_frame_header_are_skipped(code: int) -> None:
    """DHT, JPG and DAC have codes between those of frame headers."""
    assert declared_size(b"\xff\xd8\xff" + bytes([code]) + SEGMENT + FRAME, "image/jpeg") == (301, 203)


@pytest.mark.parametrize("code", [0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF])
def test_every_kind_of_frame_header_declares_the_size(code: int) -> None:
    frame = FRAME.replace(b"\xff\xc0", bytes([0xFF, code]))
    assert declared_size(b"\xff\xd8" + frame, "image/jpeg") == (301, 203)


@pytest.mark.parametrize("code", [0x01, 0xD8])
def test_markers_without_a_segment_have_no_length(code: int) -> None:
    assert declared_size(b"\xff\xd8\xff" + bytes([code]) + FRAME, "image/jpeg") == (301, 203)


def test_a_scan_before_the_frame_header_ends_the_search() -> None:
    assert declared_size(b"\xff\xd8\xff\xda" + SEGMENT + FRAME, "image/jpeg") is None
