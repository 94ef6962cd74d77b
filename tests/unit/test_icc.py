"""Embedded colour profiles: ignored, or converted to sRGB where the card asks for it."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pictures
import pytest
from loupe.card import InputSpec
from loupe.icc import to_srgb
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


def color(data: bytes, spec: InputSpec = MANAGED) -> tuple[int, ...]:
    image = decode(data, Limits(), spec)
    assert image.mode == ("L" if spec.color == "L" else "RGB")
    return tuple(round(value) for value in np.asarray(image).reshape(-1, len(image.getbands())).mean(0))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_the_card_decides(kind: str) -> None:
    data = getattr(pictures, kind)(pictures.solid(pictures.RED), icc_profile=swapped())
    red, green, blue = color(data, PLAIN)
    assert (red, green, blue) == pytest.approx(pictures.RED, abs=2)
    assert color(data) == pytest.approx(pictures.BLUE, abs=3)


def test_srgb_itself_changes_nothing() -> None:
    data = pictures.png(icc_profile=SRGB)
    assert np.array_equal(decode(data, Limits(), MANAGED), decode(data, Limits(), PLAIN))


@pytest.mark.parametrize("profile", [b"x", b"no profile at all" * 40, swapped()[:200], swapped()[:-3000], grey(2.2)])
def test_a_profile_that_does_not_fit_is_ignored(profile: bytes) -> None:
    assert color(pictures.png(pictures.solid(pictures.RED), icc_profile=profile)) == pictures.RED


def test_grey_pictures_have_grey_profiles() -> None:
    data = pictures.png(pictures.solid(128, mode="L"), icc_profile=grey(1.0))
    assert color(data, PLAIN) == (128, 128, 128)
    # Half the light is 188 in sRGB (IEC 61966-2-1).
    assert color(data) == pytest.approx((188, 188, 188), abs=2)
    grey_model = MANAGED._replace(color="L", mean=(0.0,), std=(1.0,))
    assert color(data, grey_model) == pytest.approx((188,), abs=2)


def test_alpha_is_laid_over_white_before() -> None:
    data = pictures.png(pictures.solid((255, 0, 0, 0), mode="RGBA"), icc_profile=swapped())
    assert color(data) == pytest.approx(pictures.WHITE, abs=2)


def test_palettes_are_resolved_before() -> None:
    data = pictures.png(pictures.solid(pictures.RED).quantize(4), icc_profile=swapped())
    assert color(data) == pytest.approx(pictures.BLUE, abs=3)


def test_grey_models_see_the_converted_colours() -> None:
    data = pictures.png(pictures.solid(pictures.RED), icc_profile=swapped())
    grey_model = MANAGED._replace(color="L", mean=(0.0,), std=(1.0,))
    assert color(data, grey_model) == pytest.approx((29,), abs=3)


@pytest.mark.parametrize("mode", ["1", "P", "L", "RGB"])
def test_every_mode_is_taken(mode: str) -> None:
    image: Image.Image = pictures.scene().convert(mode)
    assert to_srgb(image, swapped()).mode in ("RGB", "L")


def test_the_colour_library_is_loaded_only_when_a_picture_needs_it() -> None:
    code = (
        "import sys; from loupe.image import decode, Limits; from loupe.card import InputSpec;"
        "decode(sys.stdin.buffer.read(), Limits(), InputSpec('input', 20, 20, icc='srgb'));"
        "print('PIL.ImageCms' in sys.modules)"
    )
    for data, loaded in ((pictures.jpeg(), "False"), (pictures.jpeg(icc_profile=swapped()), "True")):
        done = subprocess.run(
            [sys.executable, "-c", code], input=data, capture_output=True, check=True, env={"PYTHONPATH": str(FUNCTION)}
        )
        assert done.stdout.decode().strip() == loaded
