"""A corpus of odd and broken images, made by computing, the same in every run: `cases`.

``PYTHONPATH=tests/unit python tests/bounds/corpus.py FOLDER`` writes them as files. Valid images show red, the
expected result.
"""

from __future__ import annotations

import random
import struct
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import images
from corpus_parts import (
    PNG_START,
    SIZE,
    gif_table,
    jpeg_segments,
    png_chunks,
    png_with,
    repeated_scans,
    riff_chunks,
    webp_claim,
    with_checksums,
)
from images import BLUE, RED, chunk, encode, exif, jpeg, png, png_of, solid, webp
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

# Expected result of a case: classified as red, rejected, or either.
FINE, REJECTED, EITHER = "fine", "rejected", "either"
Case = tuple[str, bytes, str]

MIB = 1 << 20


def gif(image: Image.Image | None = None, **options: object) -> bytes:
    return encode(image or solid(RED, SIZE), "GIF", **options)


def cases() -> Iterator[Case]:
    yield from _modes()
    yield from _phones()
    yield from _odd()
    yield from _truncated()
    yield from _flipped()
    yield from _wrong_headers()
    yield from _bombs()


def _modes() -> Iterator[Case]:
    red, clear = solid(RED, SIZE), solid((*RED, 0), SIZE, "RGBA")
    half = Image.composite(solid((*RED, 255), SIZE, "RGBA"), clear, solid(200, SIZE, "L"))
    palette = red.quantize(4)
    for quality in (1, 50, 100):
        for subsampling in (0, 1, 2):
            yield (
                f"jpeg quality {quality} subsampling {subsampling}",
                jpeg(red, quality=quality, subsampling=subsampling),
                FINE,
            )
    yield "jpeg progressive", jpeg(red, progressive=True), FINE
    yield "jpeg optimized", jpeg(red, optimize=True), FINE
    yield "jpeg restarts", jpeg(red, restart_marker_blocks=1), FINE
    yield "jpeg kept as rgb", jpeg(red, keep_rgb=True), FINE
    yield "jpeg cmyk", jpeg(solid((0, 255, 255, 0), SIZE, "CMYK")), FINE
    yield "jpeg cmyk progressive", jpeg(solid((0, 255, 255, 0), SIZE, "CMYK"), progressive=True), FINE
    yield "jpeg grey", jpeg(solid(9, SIZE, "L")), EITHER
    for mode in ("RGB", "RGBA", "P"):
        image = {"RGB": red, "RGBA": red.convert("RGBA"), "P": palette}[mode]
        yield f"png {mode}", png(image), FINE
        yield f"webp {mode}", webp(image.convert("RGBA" if mode == "RGBA" else "RGB")), FINE
        yield f"webp lossy {mode}", webp(image.convert("RGB"), lossless=False, quality=30), FINE
        yield f"gif {mode}", gif(image), FINE
    for mode in ("1", "L", "LA", "I;16"):
        yield f"png {mode}", png(Image.new(mode, SIZE)), EITHER
    yield "png half clear", png(half), FINE
    yield "webp half clear", webp(half), FINE
    yield "webp lossy half clear", webp(half, lossless=False), FINE
    yield "png palette with alpha", png(palette, transparency=bytes([200])), FINE
    yield "gif with clear index elsewhere", gif(palette, transparency=3), FINE
    rows = (b"\0" + struct.pack(">HHH", 0xFFFF, 0, 0) * 8) * 8
    yield "png 16 bit", png_of(8, 8, rows, depth=16), FINE
    yield (
        "png 16 bit with alpha",
        png_of(8, 8, (b"\0" + struct.pack(">HHHH", 0xFFFF, 0, 0, 0xF000) * 8) * 8, depth=16, color=6),
        FINE,
    )
    for depth in (1, 2, 4):
        table = chunk(b"PLTE", bytes(RED) * 2)
        yield (
            f"png palette {depth} bit",
            png_of(8, 8, (b"\0" + bytes(depth)) * 8, depth=depth, color=3, before=table),
            FINE,
        )


def _phones() -> Iterator[Case]:
    red = solid(RED, SIZE)
    avif = encode(red, "AVIF", speed=10, quality=90)
    heic = (Path(__file__).parents[1] / "unit" / "heic" / "red.heic").read_bytes()
    for name, data in (("avif", avif), ("heic", heic)):
        yield name, data, FINE
        yield f"{name} with zeros after it", data + bytes(500), EITHER
        yield f"{name} of the other brand", data.replace(b"mif1", b"mif2"), EITHER
        for share in (5, 30, 60, 95):
            yield f"{name} cut to {share} %", data[: len(data) * share // 100], REJECTED
        place = data.index(b"ispe") + 8
        for width, height in ((0, 4), (1 << 31, 1), (20_000, 20_000), (65_535, 65_535)):
            claim = data[:place] + struct.pack(">II", width, height) + data[place + 8 :]
            yield f"{name} declares {width} x {height}", claim, REJECTED
        rng = random.Random(21)
        for count in (1, 1, 2, 8, 40):
            changed = bytearray(data)
            for _ in range(count):
                changed[rng.randrange(12, len(data))] ^= 1 << rng.randrange(8)
            yield f"{name} with {count} bits flipped, {rng.randrange(1 << 20)}", bytes(changed), EITHER
        boxes = b"\0\0\0\x08free" * (9 * MIB // 8)
        yield f"{name} behind a million boxes", data[:28] + boxes + data[28:], EITHER
    large = encode(Image.new("RGB", (9000, 9000)), "AVIF", speed=10, quality=5)
    place = large.index(b"ispe") + 8
    yield (
        "avif of 81 million pixels as 64 x 64",
        large[:place] + struct.pack(">II", 64, 64) + large[place + 8 :],
        REJECTED,
    )
    yield "bmp", encode(red, "BMP"), REJECTED
    yield "tiff", encode(red, "TIFF"), REJECTED


def _odd() -> Iterator[Case]:
    red, blue = solid(RED, SIZE), solid(BLUE, SIZE)
    makers = {"jpeg": jpeg(red), "png": png(red), "webp": webp(red), "gif": gif(red)}
    for kind, data in makers.items():
        yield f"{kind} with zeros after it", data + bytes(500), FINE
        yield (
            f"{kind} with a {kind} after it",
            data + {"jpeg": jpeg, "png": png, "webp": webp, "gif": gif}[kind](blue),
            FINE,
        )
        yield f"{kind} one pixel", {"jpeg": jpeg, "png": png, "webp": webp, "gif": gif}[kind](solid(RED, (1, 1))), FINE
        yield f"{kind} one row", {"jpeg": jpeg, "png": png, "webp": webp, "gif": gif}[kind](solid(RED, (900, 1))), FINE
        yield (
            f"{kind} one column",
            {"jpeg": jpeg, "png": png, "webp": webp, "gif": gif}[kind](solid(RED, (1, 900))),
            FINE,
        )
    for kind, maker in {"jpeg": jpeg, "png": png, "webp": webp}.items():
        for orientation in (1, 6, 8):
            yield f"{kind} exif {orientation}", maker(red, exif=exif(orientation)), FINE
        yield f"{kind} exif cut off", maker(red, exif=exif(6)[:18]), FINE
        yield f"{kind} exif of zeros", maker(red, exif=b"Exif\0\0" + bytes(30)), FINE
        yield (
            f"{kind} exif pointing at itself",
            maker(red, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08"),
            FINE,
        )
        yield f"{kind} profile that is none", maker(red, icc_profile=b"no profile at all" * 20), FINE
    yield "jpeg of several images", encode(red, "MPO", save_all=True, append_images=[blue]), FINE
    yield "jpeg with a comment", jpeg(red, comment=b"x" * 60_000), FINE
    yield "jpeg with fill bytes", jpeg(red)[:2] + b"\xff" * 100 + jpeg(red)[2:], FINE
    yield "jpeg with a thumbnail", jpeg(red, exif=exif(1) + jpeg(blue)), FINE
    yield "animated webp", webp(red, save_all=True, append_images=[blue] * 5), FINE
    yield "animated png", png(red, save_all=True, append_images=[blue] * 5), FINE
    yield "animated gif", gif(red, save_all=True, append_images=[blue] * 5, loop=0), FINE
    yield "gif of 2000 frames", gif(red, save_all=True, append_images=[blue, red] * 1000), FINE
    yield "png text in every chunk", png_with(chunk(b"tEXt", b"Comment\0x") * 100), FINE
    yield "gif without an end", gif(red)[:-1], FINE
    for interlaced in (False, True):
        yield f"gif interlaced {interlaced}", gif(red, interlace=interlaced), FINE


def _truncated() -> Iterator[Case]:
    """Cut at every segment or chunk, and inside the pixels."""
    scene = images.scene((64, 48))
    for name, data in (("jpeg", jpeg(scene, exif=exif(6))), ("progressive", jpeg(scene, progressive=True))):
        for place in jpeg_segments(data):
            yield f"{name} cut at {place}", data[:place], REJECTED
            yield f"{name} cut after the marker at {place}", data[: place + 2], REJECTED
    for name, data in (("png", png(scene, exif=exif(6))), ("palette png", png(scene.quantize(9), transparency=2))):
        for place in png_chunks(data):
            # Without its last chunk a PNG has all its pixels.
            yield f"{name} cut at {place}", data[:place], EITHER if data[place + 4 : place + 8] == b"IEND" else REJECTED
            yield (
                f"{name} cut after the length at {place}",
                data[: place + 4],
                EITHER if place > len(data) - 20 else REJECTED,
            )
    for name, data in (("webp", webp(scene, exif=exif(6))), ("lossy webp", webp(scene, lossless=False))):
        for place in riff_chunks(data):
            yield f"{name} cut at {place}", data[:place], EITHER if data[place : place + 4] == b"EXIF" else REJECTED
            yield (
                f"{name} cut after the name at {place}",
                data[: place + 4],
                EITHER if data[place : place + 4] == b"EXIF" else REJECTED,
            )
    data = encode(scene, "GIF")
    for place in (6, 10, 13, 100, 781, 790, 791, 792, 800, len(data) // 2, len(data) - 20):
        yield f"gif cut at {place}", data[:place], REJECTED
    for name, whole in (("jpeg", jpeg(scene)), ("png", png(scene)), ("webp", webp(scene)), ("gif", data)):
        for share in (1, 30, 60, 95):
            yield f"{name} cut to {share} %", whole[: len(whole) * share // 100], REJECTED


def _flipped() -> Iterator[Case]:
    """One bit wrong in the header, or some anywhere."""
    scene, rng = images.scene((64, 48)), random.Random(20)
    alpha = scene.copy()
    alpha.putalpha(scene.getchannel(0))
    sources = {
        "jpeg": jpeg(scene, exif=exif(6)),
        "progressive": jpeg(scene, progressive=True),
        "png": png(alpha, exif=exif(3)),
        "palette png": png(scene.quantize(16), transparency=b"\1\2\3"),
        "webp": webp(alpha),
        "lossy webp": webp(alpha, lossless=False),
        "gif": encode(scene, "GIF", transparency=3),
    }
    for name, data in sources.items():
        for count in (1, 1, 1, 2, 8, 40):
            changed = bytearray(data)
            for _ in range(count):
                place = rng.randrange(8, min(len(data), 300) if count == 1 else len(data))
                changed[place] ^= 1 << rng.randrange(8)
            yield f"{name} with {count} bits flipped, {rng.randrange(1 << 20)}", bytes(changed), EITHER
            if "png" in name:
                yield (
                    f"{name} with {count} bits flipped and new checksums, {rng.randrange(1 << 20)}",
                    with_checksums(changed),
                    EITHER,
                )


def _wrong_headers() -> Iterator[Case]:
    good = {"jpeg": jpeg(), "png": png(), "webp": webp(), "gif": gif()}
    starts = {"jpeg": 3, "png": 8, "webp": 12, "gif": 6}
    for kind, start in starts.items():
        for other, data in good.items():
            if other != kind:
                yield f"{kind} signature before {other}", good[kind][:start] + data, REJECTED
        yield f"{kind} signature alone", good[kind][:start], REJECTED
        yield f"{kind} signature before zeros", good[kind][:start] + bytes(1000), REJECTED
        yield f"{kind} signature before noise", good[kind][:start] + random.Random(1).randbytes(1000), REJECTED
    for content in (
        b"",
        b"\0",
        b"BM" + bytes(99),
        b"II*\0" + bytes(99),
        b"<svg xmlns='x'/>",
        b"%PDF-1.7\n%",
        b"PK\3\4",
        b"\0\0\0\x1cftypavif",
        b"\0\0\0\x18ftypheic",
        b"\xff\xd8",
        b"GIF88a" + bytes(99),
        b"8BPS\0\1",
    ):
        yield f"content {content[:12]!r}", content, REJECTED
    row = b"\0" + bytes(12)
    for depth, color in ((3, 2), (16, 3), (1, 2), (4, 6), (8, 1), (8, 7), (0, 0), (255, 255)):
        yield f"png depth {depth} colour {color}", png_of(4, 4, row * 4, depth=depth, color=color), REJECTED
    for width, height in ((0, 4), (4, 0), (0, 0), (1 << 31, 1), (1, 1 << 31), (0xFFFFFFFF, 0xFFFFFFFF)):
        yield f"png {width} x {height}", png_of(width, height, row * 4), REJECTED
    yield "png palette without a palette", png_of(4, 4, b"\0\0\0\0\0" * 4, color=3), EITHER
    yield (
        "png palette index too high",
        png_of(4, 4, b"\0\7\7\7\7" * 4, color=3, before=chunk(b"PLTE", bytes(3))),
        EITHER,
    )
    yield "png without pixels", png()[:PNG_START] + chunk(b"IEND", b""), REJECTED
    yield "png with too few rows", png_of(4, 4, row * 2), EITHER
    yield "png with filter 9", png_of(4, 4, (b"\x09" + bytes(12)) * 4), EITHER
    yield (
        "png with pixels that are not packed",
        png()[:PNG_START] + chunk(b"IDAT", b"not zlib") + chunk(b"IEND", b""),
        REJECTED,
    )
    yield "png with two headers", png_with(png_of(60_000, 60_000, b"")[8:PNG_START]), REJECTED
    yield "png with a wrong checksum", png()[:29] + b"\0\0\0\0" + png()[33:], REJECTED
    yield "png with a chunk longer than the file", png()[:PNG_START] + b"\x7f\xff\xff\xffIDAT" + png()[41:], EITHER
    yield "png with a negative length", png()[:PNG_START] + b"\xff\xff\xff\xffIDAT" + png()[41:], EITHER
    data = jpeg()
    frame = data.index(b"\xff\xc0")
    for name, value in (("no height", b"\0\0\0\x60"), ("no width", b"\0\x40\0\0"), ("65535 x 65535", b"\xff" * 4)):
        yield f"jpeg with {name}", data[: frame + 5] + value + data[frame + 9 :], REJECTED
    for name, value in (("12 bits", 12), ("0 bits", 0), ("255 bits", 255)):
        yield f"jpeg with {name}", data[: frame + 4] + bytes([value]) + data[frame + 5 :], REJECTED
    for count in (0, 2, 5, 255):
        yield f"jpeg with {count} components", data[: frame + 9] + bytes([count]) + data[frame + 10 :], REJECTED
    for kind in (0xC3, 0xC5, 0xC7, 0xC9, 0xCB, 0xCF):
        yield f"jpeg with frame type {kind:x}", data[: frame + 1] + bytes([kind]) + data[frame + 2 :], EITHER
    for marker in (0xDB, 0xC4, 0xDA):
        place = data.index(bytes([0xFF, marker]))
        length = 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield f"jpeg without its first {marker:x}", data[:place] + data[place + length :], EITHER
        yield f"jpeg with a short {marker:x}", data[: place + 2] + b"\0\2" + data[place + 4 :], EITHER
    data = webp()
    for size in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
        yield f"webp of {size} bytes by its header", data[:4] + struct.pack("<I", size) + data[8:], REJECTED
        yield f"webp whose chunk has {size} bytes", data[:16] + struct.pack("<I", size) + data[20:], REJECTED
    yield "webp of an unknown kind", data[:12] + b"VP9 " + data[16:], REJECTED
    data = gif()
    yield "gif without an image", data[:13] + b";", REJECTED
    yield "gif of 0 x 0", data[:6] + bytes(4) + data[10:], EITHER
    descriptor = data.index(b",\0\0\0\0")
    yield "gif whose frame is empty", data[: descriptor + 5] + bytes(4) + data[descriptor + 9 :], REJECTED
    for bits in (0, 1, 13, 255):
        yield (
            f"gif with codes of {bits} bits",
            data[: descriptor + 10] + bytes([bits]) + data[descriptor + 11 :],
            EITHER,
        )


def _bombs() -> Iterator[Case]:
    flat = zlib.compress(bytes(MIB), 9)
    data, start = png(), PNG_START
    for width, height in ((100_000, 100_000), (5001, 5000), (25_000_001, 1), (65_535, 65_535)):
        yield f"png declares {width} x {height}", png_of(width, height, bytes(30_000)), REJECTED
    for kind in ("VP8X", "VP8L", "VP8 "):
        yield f"webp declares 16383 x 16383 as {kind}", webp_claim(kind), REJECTED
    yield (
        "webp lossless, 16 million pixels of one colour",
        webp(Image.new("RGB", (4000, 4000)), quality=0, method=0),
        REJECTED,
    )
    yield "png of 12 million pixels at 1 bit", png(Image.new("1", (4000, 3000))), REJECTED
    yield "png larger than its pixels", png_of(10, 10, bytes(31 * 10 + 30 * MIB)), EITHER
    yield "png texts that unpack to 63 MiB", data[:start] + b"".join(
        chunk(b"zTXt", b"k%d\0\0" % i + flat) for i in range(63)) + data[start:], EITHER  # fmt: skip
    yield "png texts that unpack to 99 MiB", data[:start] + b"".join(
        chunk(b"zTXt", b"k%d\0\0" % i + flat) for i in range(99)) + data[start:], REJECTED  # fmt: skip
    big = zlib.compress(bytes(60 * MIB), 9)
    yield "png text that unpacks to 60 MiB", png_with(chunk(b"zTXt", b"k\0\0" + big)), REJECTED
    yield "png profile that unpacks to 60 MiB", png_with(chunk(b"iCCP", b"p\0\0" + big)), REJECTED
    yield "png of empty chunks", data[:start] + chunk(b"abCd", b"") * (9 * MIB // 12) + data[start:], REJECTED
    yield "png of empty texts", data[:start] + chunk(b"tEXt", b"a\0") * (9 * MIB // 14) + data[start:], REJECTED
    yield "png of empty pixel chunks", data[:start] + chunk(b"IDAT", b"") * (9 * MIB // 12) + data[start:], EITHER
    photo = jpeg()
    for name, filler in (("comments", b"\xff\xfe\0\2"), ("applications", b"\xff\xe9\0\2"), ("zeros", b"\xff\0")):
        yield f"jpeg of empty {name}", photo[:2] + filler * (9 * MIB // len(filler)) + photo[2:], REJECTED
    yield "jpeg of tables", photo[:2] + (b"\xff\xdb\0\x43\0" + bytes(range(1, 65))) * 100_000 + photo[2:], EITHER
    yield (
        "jpeg of 50000 scans",
        repeated_scans(jpeg(Image.new("RGB", (1000, 1000)), progressive=True), 50_000),
        REJECTED,
    )
    yield "jpeg of 50000 scans after an image", jpeg(solid(RED, SIZE)) + b"\xff\xda" * 50_000, FINE
    plain = gif()
    yield (
        "gif of comments",
        plain[:13] + gif_table(plain) + b"!\xfe" + b"\1a" * (4 * MIB) + b"\0" + plain[13 + len(gif_table(plain)) :],
        REJECTED,
    )
    yield "gif declares 65535 x 65535", plain[:6] + b"\xff" * 4 + plain[10:], REJECTED
    descriptor = plain.index(b",\0\0\0\0")
    for name, disposal in (
        ("a frame", b""),
        ("a frame to dispose", b"!\xf9\4\x08\0\0\0\0"),
        ("a frame to restore", b"!\xf9\4\x0d\0\0\0\0"),
    ):
        claim = plain[:descriptor] + disposal + b",\0\0\0\0" + b"\xff" * 4 + plain[descriptor + 9 :]
        yield f"gif with {name} of 65535 x 65535", claim, REJECTED
        yield (
            f"gif with {name} far outside",
            plain[:descriptor] + disposal + b"," + b"\xff" * 4 + plain[descriptor + 5 :],
            REJECTED,
        )
    many = b"".join(struct.pack(">HHII", i & 0xFFFF, 5, 100_000, 8) for i in range(60_000))
    yield "png exif of 60000 entries", png(exif=b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 60_000) + many), EITHER


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, content, _) in enumerate(cases()):
        (folder / f"{number:03} {name.replace('/', '-')}").write_bytes(content)
