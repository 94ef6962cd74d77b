"""Embedded colour profiles: ignored, or converted to sRGB where the card asks for it."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import images
import numpy as np
import pytest
from loupe.card import InputSpec
from loupe.icc import _transform, to_srgb
from loupe.image import Limits, decode
from PIL import ImageCms

if TYPE_CHECKING:
    from PIL import Image

FUNCTION = Path(__file__).resolve().parents[2] / "function"
PLAIN = InputSpec("input", 20, 20)
MANAGED = PLAIN._replace(icc="srgb")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped() -> bytes:
    """Profile of a camera whose first channel is blue and whose third is red: sRGB with two tags exchanged."""
    profile = SRGB.replace("sRGB".encode("utf-16-be"), "BGR!".encode("utf-16-be"))
    return profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


def grey(gamma: float) -> bytes:
    """Smallest grey profile (ICC.1:2001-04): a white point and one gamma."""
    white = struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0),
    }
    table, body, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content
    head = bytes(8) + struct.pack(">I", 0x02400000) + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28) + white
    profile = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(profile)) + profile[4:]


def with_tag(profile: bytes, name: bytes, content: bytes) -> bytes:
    """Add a tag at the end: the others move by the length of one entry."""
    (count,) = struct.unpack_from(">I", profile, 128)
    end = 132 + 12 * count
    table = b""
    for place in range(132, end, 12):
        signature, offset, length = struct.unpack_from(">4sII", profile, place)
        table += struct.pack(">4sII", signature, offset + 12, length)
    table += struct.pack(">4sII", name, len(profile) + 12, len(content))
    longer = profile[:128] + struct.pack(">I", count + 1) + table + profile[end:] + content
    return struct.pack(">I", len(longer)) + longer[4:]


def operations(count: int) -> bytes:
    """Return multi-process elements (ICC.1:2022, 10.16): the same identity matrix so many times."""
    matrix = b"matf" + bytes(4) + struct.pack(">HH12f", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    entry = struct.pack(">II", 16 + 8 * count, len(matrix))
    return b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, count) + entry * count + matrix


def color(data: bytes, spec: InputSpec = MANAGED) -> tuple[int, ...]:
    image = decode(data, Limits(), spec)
    assert image.mode == ("L" if spec.color == "L" else "RGB")
    return tuple(round(value) for value in np.asarray(image).reshape(-1, len(image.getbands())).mean(0))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_card_controls_profile_conversion(kind: str) -> None:
    data = getattr(images, kind)(images.solid(images.RED), icc_profile=swapped())
    red, green, blue = color(data, PLAIN)
    assert (red, green, blue) == pytest.approx(images.RED, abs=2)
    assert color(data) == pytest.approx(images.BLUE, abs=3)


def test_srgb_itself_changes_nothing() -> None:
    data = images.png(icc_profile=SRGB)
    assert np.array_equal(decode(data, Limits(), MANAGED), decode(data, Limits(), PLAIN))


@pytest.mark.parametrize("profile", [b"x", b"no profile at all" * 40, swapped()[:200], swapped()[:-3000], grey(2.2)])
def test_profile_of_another_colour_space_is_ignored(profile: bytes) -> None:
    assert color(images.png(images.solid(images.RED), icc_profile=profile)) == images.RED


@pytest.mark.parametrize(
    "profile",
    [
        with_tag(swapped(), b"D2B1", operations(20_000)),
        with_tag(swapped(), b"junk", b"data" + bytes(5 << 20)),
    ],
    ids=["operations", "bytes"],
)
def test_a_profile_of_many_operations_or_bytes_is_ignored_at_once(profile: bytes) -> None:
    """littleCMS would apply 20,000 operations to each point of its table, for 10 s; the cache would keep megabytes."""
    cached, started = _transform.cache_info(), time.thread_time()
    assert color(images.jpeg(images.solid(images.RED), icc_profile=profile)) == color(
        images.jpeg(images.solid(images.RED))
    )
    assert time.thread_time() - started < 2
    assert _transform.cache_info() == cached


def test_other_profile_tags_do_not_change_the_colours() -> None:
    profile = with_tag(swapped(), b"junk", b"data" + bytes(100))
    assert color(images.jpeg(images.solid(images.RED), icc_profile=profile)) == color(
        images.jpeg(images.solid(images.RED), icc_profile=swapped())
    )


def test_grey_images_have_grey_profiles() -> None:
    data = images.png(images.solid(128, mode="L"), icc_profile=grey(1.0))
    assert color(data, PLAIN) == (128, 128, 128)
    # Half the light is 188 in sRGB (IEC 61966-2-1).
    assert color(data) == pytest.approx((188, 188, 188), abs=2)
    grey_model = MANAGED._replace(color="L", mean=(0.0,), std=(1.0,))
    assert color(data, grey_model) == pytest.approx((188,), abs=2)


def test_alpha_is_composited_over_white_before_conversion() -> None:
    data = images.png(images.solid((255, 0, 0, 0), mode="RGBA"), icc_profile=swapped())
    assert color(data) == pytest.approx(images.WHITE, abs=2)


def test_palettes_are_resolved_before() -> None:
    data = images.png(images.solid(images.RED).quantize(4), icc_profile=swapped())
    assert color(data) == pytest.approx(images.BLUE, abs=3)


def test_grey_models_get_the_converted_colours() -> None:
    data = images.png(images.solid(images.RED), icc_profile=swapped())
    grey_model = MANAGED._replace(color="L", mean=(0.0,), std=(1.0,))
    assert color(data, grey_model) == pytest.approx((29,), abs=3)


@pytest.mark.parametrize("mode", ["1", "P", "L", "RGB"])
def test_every_mode_is_accepted(mode: str) -> None:
    image: Image.Image = images.scene().convert(mode)
    assert to_srgb(image, swapped()).mode in ("RGB", "L")


def test_colour_library_is_loaded_on_first_use() -> None:
    code = (
        "import sys; from loupe.image import decode, Limits; from loupe.card import InputSpec;"
        "decode(sys.stdin.buffer.read(), Limits(), InputSpec('input', 20, 20, icc='srgb'));"
        "print('PIL.ImageCms' in sys.modules)"
    )
    for data, loaded in ((images.jpeg(), "False"), (images.jpeg(icc_profile=swapped()), "True")):
        done = subprocess.run(
            [sys.executable, "-c", code], input=data, capture_output=True, check=True, env={"PYTHONPATH": str(FUNCTION)}
        )
        assert done.stdout.decode().strip() == loaded
