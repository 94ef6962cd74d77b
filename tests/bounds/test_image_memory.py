"""Peak memory of decoding, per pixel of the image: what the default limit of 25 million pixels rests on.

The table in docs/api.md is these bounds times 25 million.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import images
import memory
import pytest
from loupe.card import InputSpec
from loupe.formats import FORMATS
from loupe.image import Limits, decode
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(not memory.can_measure(), reason="this kernel does not tell a process's peak memory")

UNIT = Path(__file__).parents[1] / "unit"
SIDE = 2000
PIXELS = SIDE * SIDE
# What does not grow with the image: the decoder's code and tables, strips, the allocator's slack.
FIXED = 12 << 20
PLAIN = InputSpec("input", 200, 200)
DRAFT = InputSpec("input", 200, 200, jpeg_draft=2)
WEBP = {"quality": 0, "method": 0}


@functools.cache
def scene(mode: str) -> Image.Image:
    image = images.scene((500, 500)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    if mode == "RGBA":
        image.putalpha(image.getchannel(0))
    return image.quantize(64) if mode == "P" else image.convert(mode)


def png(mode: str, **options: Any) -> bytes:
    return images.png(scene(mode), compress_level=1, **options)


CASES: dict[str, tuple[Callable[[], bytes], InputSpec, float]] = {
    "jpeg": (lambda: images.jpeg(scene("RGB"), quality=60), PLAIN, 4.5),
    "jpeg, scaled": (lambda: images.jpeg(scene("RGB"), quality=60), DRAFT, 0.5),
    "jpeg, turned": (lambda: images.jpeg(scene("RGB"), quality=60, exif=images.exif(6)), PLAIN, 8.5),
    "jpeg, progressive 4:4:4": (lambda: images.jpeg(scene("RGB"), quality=60, progressive=True), PLAIN, 10.5),
    "jpeg, progressive, scaled": (lambda: images.jpeg(scene("RGB"), quality=60, progressive=True), DRAFT, 6.5),
    "jpeg, progressive cmyk": (lambda: images.jpeg(scene("CMYK"), quality=60, progressive=True), PLAIN, 12.5),
    "png": (lambda: png("RGB"), PLAIN, 4.5),
    "png, alpha": (lambda: png("RGBA"), PLAIN, 8.5),
    "png, grey and alpha": (lambda: png("LA"), PLAIN, 8.5),
    "png, palette": (lambda: png("P"), PLAIN, 5.5),
    "png, palette with alpha": (lambda: png("P", transparency=b"\1\2\3"), PLAIN, 5.5),
    "png, 16 bit": (lambda: images.png(scene("L").convert("I;16"), compress_level=1), PLAIN, 8.5),
    "webp": (lambda: images.webp(scene("RGB"), lossless=False, **WEBP), PLAIN, 12.5),
    "webp, alpha": (lambda: images.webp(scene("RGBA"), lossless=False, **WEBP), PLAIN, 13.5),
    "webp, lossless": (lambda: images.webp(scene("RGB"), **WEBP), PLAIN, 13.5),
    "webp, lossless, animated": (
        lambda: images.webp(scene("RGB"), save_all=True, append_images=[scene("RGBA")], **WEBP), PLAIN, 13.5,
    ),
    "gif": (lambda: images.gif(scene("P")), PLAIN, 5.5),
    "gif, clear index": (lambda: images.gif(scene("P"), transparency=3), PLAIN, 5.5),
    "bmp": (lambda: images.encode(scene("RGB"), "BMP"), PLAIN, 4.5),
    "tiff": (lambda: images.encode(scene("RGB"), "TIFF", compression="tiff_lzw"), PLAIN, 4.5),
}  # fmt: skip
# Decoded in a child process: what it takes, and the pixels in memory that both have.
CHILD_CASES = {"avif": 12.5, "avif, 4:4:4": 14.5, "avif, 4:4:4, alpha": 18.5, "heic": 8.5}
HEIC = UNIT / "heic" / "4096.heic"
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import memory
from importlib import import_module
from loupe.card import InputSpec
from loupe.decoders import Plan
decoder = import_module("loupe.decoders." + sys.argv[2])
data, kept = Path(sys.argv[3]).read_bytes(), []
grown = memory.growth(lambda: kept.append(decoder.raw(data, Plan(lambda _: None, InputSpec("input", 20, 20), 0))))
print(grown + memoryview(kept[0].pixels).nbytes)
"""


@pytest.mark.parametrize("case", CHILD_CASES)
def test_memory_of_a_child_for_each_pixel(case: str, tmp_path: Path) -> None:
    if case == "heic":
        kind, file, pixels = "heic", HEIC, 4096 * 4096
    else:
        kind, file, pixels = "avif", tmp_path / "image.avif", PIXELS
        image = scene("RGBA" if "alpha" in case else "RGB")
        subsampling = "4:4:4" if "4:4:4" in case else "4:2:0"
        file.write_bytes(images.encode(image, "AVIF", speed=10, quality=60, subsampling=subsampling))
    folders = [UNIT, Path(__file__).resolve().parents[2] / "function"]
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(folders[0]), kind, str(file)],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(folders[1])},
    )  # fmt: skip
    assert int(run.stdout) <= CHILD_CASES[case] * pixels + FIXED
    # Here, when the child has ended: the pixels that it left, and Pillow's.
    data = file.read_bytes()
    if kind == "avif":
        grown = memory.growth(lambda: decode(data, Limits(), PLAIN))
        assert grown <= CHILD_CASES[case] * pixels + FIXED


@pytest.mark.parametrize("case", CASES)
def test_memory_for_each_pixel(case: str) -> None:
    make, spec, most = CASES[case]
    data = make()
    limits = Limits(max_bytes=20_000_000, formats=tuple(FORMATS))
    grown = memory.growth(lambda: decode(data, limits, spec))
    assert grown <= most * PIXELS + FIXED


def test_documented_memory_table_equals_the_limits() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    table = page.partition("| image | bytes per pixel |")[2].partition("\n\n")[0]
    documented = [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]
    most_pixels = Limits().max_pixels
    bounds = {name: most for name, (_, _, most) in CASES.items()} | CHILD_CASES
    assert documented == [[name, str(most), f"{most * most_pixels / 1e6:.0f}"] for name, most in bounds.items()]
