"""AVIF, HEIC, and BMP and TIFF on request: turned once, with alpha and deep colours, within the same limits."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import images
import numpy as np
import pytest
from events import Context, rest
from fakes import make_app
from images import RED, WHITE
from loupe.card import InputSpec
from loupe.decoders import Plan, heic, isolated
from loupe.errors import ImageTooLarge, ImageUndecodable, Problem, UnsupportedMediaType
from loupe.formats import FORMATS
from loupe.image import Limits, decode
from phone_files import FILES, avif, heic_file, resized
from PIL import Image

if TYPE_CHECKING:
    from loupe.classifier import Classifier

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "http"
SPEC = InputSpec("input", 20, 20)
ALL = Limits(formats=tuple(FORMATS))


def read(data: bytes, spec: InputSpec = SPEC, limits: Limits = ALL) -> Image.Image:
    return decode(data, limits, spec)


def difference(image: Image.Image, expected: Image.Image) -> float:
    assert image.size == expected.size
    return float(np.abs(np.asarray(image, float) - np.asarray(expected.convert(image.mode), float)).mean())


@pytest.mark.parametrize("name", ["scene", "ten-bit", "several"])
def test_heic_is_decoded_to_its_primary_image(name: str) -> None:
    assert difference(read(heic_file(name)), images.scene()) < 1.5


@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not there")
def test_iphone_file_is_decoded() -> None:
    assert read((CASES / "x.heic").read_bytes()).size == (440, 520)


@pytest.mark.parametrize(("name", "orientation"), [("rotated", 6), ("mirrored", 5)])
def test_heic_orientation_of_container_and_exif_is_applied_once(name: str, orientation: int) -> None:
    data = heic_file(name)
    assert b"irot" in data
    assert b"Exif" in data
    turn = {6: Image.Transpose.ROTATE_270, 5: Image.Transpose.TRANSPOSE}[orientation]
    assert difference(read(data), images.scene().transpose(turn)) < 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_orientation_is_applied_once(orientation: int) -> None:
    data = avif(images.turned_away(images.scene(), orientation), exif=images.exif(orientation))
    assert difference(read(data), images.scene()) < 2


def test_alpha_is_composited_over_white() -> None:
    expected = images.scene()
    expected.paste(WHITE, (48, 0, 96, 64))
    assert difference(read(heic_file("alpha")), expected) < 1.5
    clear = images.scene()
    alpha = Image.new("L", clear.size, 255)
    alpha.paste(0, (48, 0, 96, 64))
    clear.putalpha(alpha)
    assert difference(read(avif(clear)), expected) < 2


def test_grey_files_and_grey_models() -> None:
    grey = InputSpec("input", 20, 20, color="L", mean=(0.0,), std=(1.0,))
    scene = images.scene().convert("L")
    for data in (heic_file("grey"), avif(scene)):
        assert difference(read(data), scene.convert("RGB")) < 2
        assert difference(read(data, grey), scene) < 2


def test_avif_sequence_is_decoded_to_its_first_frame() -> None:
    data = avif(images.solid(RED), save_all=True, append_images=[images.solid(images.BLUE)] * 3)
    assert data[8:12] == b"avis"
    assert difference(read(data), images.solid(RED)) < 3


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp_and_tiff_are_decoded_if_enabled(kind: str, mode: str) -> None:
    image = images.scene().convert(mode)
    data = images.encode(image, kind)
    assert difference(read(data), image.convert("RGB")) == 0
    with pytest.raises(UnsupportedMediaType, match=f"is a {kind} file. Send it as JPEG, PNG, WebP, GIF, AVIF or HEIC"):
        read(data, limits=Limits())


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(compression: str) -> None:
    data = images.encode(images.scene(), "TIFF", compression=compression)
    assert difference(read(data), images.scene()) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_is_turned_once(orientation: int) -> None:
    stored = images.turned_away(images.scene(), orientation)
    data = images.encode(stored, "TIFF", exif=images.exif(orientation), compression="tiff_lzw")
    assert difference(read(data), images.scene()) == 0


def test_files_inside_tiff_and_run_length_bmp_are_rejected() -> None:
    with pytest.raises(ImageUndecodable, match="compressed in a way"):
        read(images.encode(images.scene(), "TIFF", compression="jpeg"))
    data = bytearray(images.encode(images.scene().convert("P"), "BMP"))
    data[30:34] = struct.pack("<I", 1)
    with pytest.raises(ImageUndecodable, match="run-length"):
        read(bytes(data))


def test_disabled_format_is_named_in_the_error() -> None:
    only = Limits(formats=("jpeg", "png"))
    for data, name in ((heic_file("scene"), "HEIC"), (avif(), "AVIF"), (images.webp(), "WebP")):
        with pytest.raises(UnsupportedMediaType, match=f"is a {name} file. Send it as JPEG or PNG."):
            read(data, limits=only)
    assert read(images.png(), limits=only).mode == "RGB"


@pytest.mark.parametrize("make", [lambda: heic_file("scene"), avif])
def test_truncated_image_is_undecodable(make: Any) -> None:
    data = make()
    for share in (0.1, 0.3, 0.6, 0.95):
        with pytest.raises((ImageUndecodable, UnsupportedMediaType)):
            read(data[: int(len(data) * share)])


@pytest.mark.parametrize("size", [(5001, 5000), (65_536, 1), (1 << 30, 1 << 30)])
def test_a_declared_size_is_checked_before_decoding(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (heic_file("scene"), avif()):
        with pytest.raises((ImageTooLarge, ImageUndecodable)):
            read(resized(data, *size))
    with pytest.raises(ImageTooLarge, match="decompression bombs"):
        read(heic_file("4096"))


@pytest.mark.parametrize("content_type", ["image/heic", "image/avif", "application/octet-stream", None])
def test_api_classifies_phone_formats(
    classifier: Classifier, content_type: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    for data in (heic_file("red"), avif(images.solid(RED))):
        answer = make_app(classifier).http(rest(body=data, headers=headers), Context())
        assert json.loads(answer["body"])["label"] == "red"
    answer = make_app(classifier).http(rest(body=heic_file("red")[:300], headers=headers), Context())
    assert answer["statusCode"] == 422
    assert "ERROR" not in capsys.readouterr().out


PLAN = Plan(lambda _: None, SPEC, 1_000_000)


def _raw(**changes: Any) -> isolated.Raw:
    return isolated.Raw("L", (2, 1), b"ab")._replace(**changes)


def _fails(error: BaseException) -> Any:
    def fail(*_: object) -> isolated.Raw:
        raise error

    return fail


def test_child_returns_pixels_orientation_and_profile() -> None:
    decoded = isolated.decode_in_child(lambda *_: _raw(orientation=6, profile=b"icc"), b"", PLAN)
    assert (decoded.image.tobytes(), decoded.image.size, decoded.orientation, decoded.profile) == (
        b"ab", (2, 1), 6, b"icc",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "kind", "cause"),
    [
        (ImageTooLarge("Too large."), ImageTooLarge, ""),
        (RuntimeError("x"), ImageUndecodable, "RuntimeError"),
        (MemoryError(), ImageTooLarge, "MemoryError"),
        (SystemExit(1), ImageUndecodable, "ChildEnded"),
    ],
)
def test_exception_of_a_child_is_raised_in_the_parent(error: BaseException, kind: type[Problem], cause: str) -> None:
    with pytest.raises(kind) as caught:
        isolated.decode_in_child(_fails(error), b"", PLAN)
    assert caught.value.cause == cause


def test_a_grey_heic_that_claims_more_bits_than_it_has_is_rejected_before_it_is_decoded() -> None:
    """pi-heif would write past the end of the 8-bit samples: 'double free or corruption'."""
    data = bytearray(heic_file("grey"))
    # bitDepthLumaMinus8 of the decoder configuration record (ISO/IEC 14496-15, 8.3.3.1.2).
    place = data.index(b"hvcC") + 4 + 17
    assert data[place] & 7 == 0
    for bits in (1, 2, 4):
        data[place] = 0xF8 | bits
        with pytest.raises(ImageUndecodable, match="grey with more than 8 bits"):
            heic.raw(bytes(data), PLAN)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGXCPU, signal.SIGTERM])
def test_crash_of_a_child_is_a_problem_of_the_image(number: signal.Signals) -> None:
    def crash(*_: object) -> isolated.Raw:
        os.kill(os.getpid(), number)
        return _raw()

    with pytest.raises(ImageUndecodable, match="too much time or memory"):
        isolated.decode_in_child(crash, b"", PLAN)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_handler_of_the_parent_does_not_keep_a_crashed_child_alive(number: signal.Signals) -> None:
    """A handler that returns, such as a fault handler's, would let the child go on."""

    def crash(*_: object) -> isolated.Raw:
        os.kill(os.getpid(), number)
        return _raw()

    before = signal.signal(number, lambda *_: None)
    try:
        with pytest.raises(ImageUndecodable, match="too much time or memory"):
            isolated.decode_in_child(crash, b"", PLAN)
    finally:
        signal.signal(number, before)


def test_child_has_resource_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(*_: object) -> isolated.Raw:
        return _raw(pixels=bytes(200 << 20))

    with pytest.raises(ImageTooLarge):
        isolated.decode_in_child(allocate, b"", PLAN)
    monkeypatch.setattr(isolated, "_CPU_SECONDS", 1)

    def compute(*_: object) -> isolated.Raw:
        while True:
            pass

    with pytest.raises(ImageUndecodable, match="too much time"):
        isolated.decode_in_child(compute, b"", PLAN)


def test_child_that_waits_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "_WALL_SECONDS", 0.2)

    def hang(*_: object) -> isolated.Raw:
        signal.pause()
        return _raw()

    children, fork = [], os.fork

    def forks() -> int:
        child = fork()
        children.append(child)
        return child

    monkeypatch.setattr(os, "fork", forks)
    started = time.monotonic()
    with pytest.raises(ImageUndecodable):
        isolated.decode_in_child(hang, b"", PLAN)
    assert time.monotonic() - started < 10
    assert len(children) == 1
    with pytest.raises(ChildProcessError):
        os.waitpid(children[0], os.WNOHANG)


LOADED = """
import sys
from pathlib import Path
import loupe.image
from loupe.card import InputSpec
before = set(sys.modules)
assert not {"_pi_heif", "pi_heif", "PIL._avif", "loupe.decoders.isolated"} & before
loupe.image.decode(Path(sys.argv[1]).read_bytes(), loupe.image.Limits(), InputSpec("input", 20, 20))
print(sorted({"_pi_heif", "pi_heif", "PIL._avif"} & set(sys.modules)))
"""


def test_the_decoders_are_loaded_with_the_first_image_of_their_kind(tmp_path: Path) -> None:
    """pi-heif registers nothing with Pillow: its Python package is not imported at all."""
    function = Path(__file__).resolve().parents[2] / "function"
    for data, loaded in ((heic_file("scene"), "['_pi_heif']"), (avif(), "['PIL._avif']")):
        file = tmp_path / "image"
        file.write_bytes(data)
        run = subprocess.run(
            [sys.executable, "-c", LOADED, str(file)], capture_output=True, text=True, env={"PYTHONPATH": str(function)}
        )
        assert run.stdout.strip() == loaded, run.stderr


def test_the_primary_images_pixels_are_those_of_pi_heif() -> None:
    import pi_heif

    for name in ("scene", "alpha", "rotated", "ten-bit", "tile"):
        expected = pi_heif.open_heif(FILES / f"{name}.heic").to_pillow()
        raw = heic.raw(heic_file(name), PLAN)
        assert (raw.mode, raw.size, bytes(raw.pixels)) == (expected.mode, expected.size, expected.tobytes())
