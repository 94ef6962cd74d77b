"""What a file's first bytes say, without a decoder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pictures
import pytest
from loupe.formats import DECODERS, declared_size, has_more_scans, media_type_of, only_scan

FUNCTION = Path(__file__).resolve().parents[2] / "function"
KINDS = ["jpeg", "png", "webp", "gif"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_format_is_told_by_content(kind: str) -> None:
    data = getattr(pictures, kind)()
    assert media_type_of(data) == f"image/{kind}"
    assert f"image/{kind}" in DECODERS


@pytest.mark.parametrize("size", [(1, 1), (300, 200), (1, 4097)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_declared_size_is_read_from_the_header(kind: str, size: tuple[int, int]) -> None:
    data = getattr(pictures, kind)(pictures.solid(size=size))
    assert declared_size(data, f"image/{kind}") == size


@pytest.mark.parametrize(
    "options", [{"lossless": False}, {"lossless": False, "exif": pictures.exif(1)}, {"exif": b"x"}]
)
def test_every_layout_of_webp(options: dict[str, object]) -> None:
    assert declared_size(pictures.webp(pictures.solid(size=(301, 203)), **options), "image/webp") == (301, 203)


@pytest.mark.parametrize("options", [{"progressive": True}, {"exif": pictures.exif(6)}, {"comment": b"\xff\xc0" * 9}])
def test_every_layout_of_jpeg(options: dict[str, object]) -> None:
    assert declared_size(pictures.jpeg(pictures.solid(size=(301, 203)), **options), "image/jpeg") == (301, 203)


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_header_says_nothing(kind: str) -> None:
    data = getattr(pictures, kind)()
    for length in range(3, 29):
        assert declared_size(data[:length], f"image/{kind}") is None


def test_a_header_that_never_comes_is_not_looked_for_for_ever() -> None:
    assert declared_size(b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000, "image/jpeg") is None
    assert declared_size(b"\xff\xd8" + bytes(1000), "image/jpeg") is None
    assert declared_size(b"\xff\xd8" + b"\xff\xfe\0\0" * 100, "image/jpeg") is None


def test_scans_are_counted_up_to_the_end_of_the_picture() -> None:
    progressive = pictures.jpeg(progressive=True)
    scans = progressive.count(b"\xff\xda")
    assert scans > 5
    assert not has_more_scans(progressive, scans)
    assert has_more_scans(progressive, scans - 1)
    thumbnail = pictures.jpeg(exif=pictures.exif(1) + b"\xff\xda" * 9, comment=b"\xff\xda" * 9)
    assert not has_more_scans(thumbnail + b"\xff\xda" * 9, 1)
    assert has_more_scans(thumbnail, 0)
    assert has_more_scans(b"\xff\xd8" + b"\xff\xfe\0\4\xff\xda" * 100_000, 100)


def test_a_sequential_frame_may_be_scanned_a_component_at_a_time() -> None:
    """Only a first scan of all components says that there is no other."""
    data = bytearray(pictures.jpeg())
    first = data.index(b"\xff\xda")
    more = b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 9
    assert data[first + 4] == 3
    assert only_scan(bytes(data[:-2]) + more) == first + 2
    data[first + 4] = 1
    assert only_scan(bytes(data[:-2]) + more) is None
    assert has_more_scans(bytes(data[:-2]) + more, 5)


def test_a_frame_of_another_coding_may_be_scanned_often() -> None:
    data = pictures.jpeg()
    arithmetic = data.replace(b"\xff\xc0", b"\xff\xc9", 1)
    assert only_scan(arithmetic) is None
    assert has_more_scans(arithmetic[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 9, 5)


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
def test_only_the_decoder_that_is_needed_is_loaded(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::PIL.Image.DecompressionBombWarning", "-c", LOADED],
        input=getattr(pictures, kind)(), capture_output=True, check=True, env={"PYTHONPATH": str(FUNCTION)},
    )  # fmt: skip
    before, after = json.loads(done.stdout)
    assert not {name for name in before if name.endswith("Plugin")}
    loaded = {name for name in after if name.endswith("Plugin")}
    # Without EXIF data there is no need for the TIFF reader either.
    assert loaded == {PLUGINS[kind]}
    assert "PIL.ImageCms" not in after


def test_the_only_scan_of_a_jpeg_is_where_its_header_ends() -> None:
    data = pictures.jpeg(comment=b"\xff\xda" * 9)
    place = only_scan(data)
    assert place is not None
    assert data[place - 2 : place] == b"\xff\xda"
    assert data.rindex(b"\xff\xda") == place - 2
    assert only_scan(pictures.jpeg(progressive=True)) is None
    assert only_scan(data[: place - 2]) is None
    assert only_scan(b"\xff\xd8\xff\xd9") is None
