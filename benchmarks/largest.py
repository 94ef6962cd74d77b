"""The largest allowed images, classified by a function with 512 MB."""

from __future__ import annotations

import base64
import json
import math
import uuid
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from loupe.image import Limits
from PIL import Image

from benchmarks.cold import all_subjects
from benchmarks.timing import PartResult, Row
from benchmarks.workload import photo

MEMORY_MIB = 512


def run(folder: Path, shipped: Path, course: Path) -> PartResult:
    """Send an image of each format to a new environment; compare the peak with the memory size."""
    subject = all_subjects(folder, shipped, course)["ours"]
    small = replace(subject, variables=subject.variables | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MIB)})
    peaks = {}
    for name, data in _images().items():
        environment = small.start(folder / "rie.log")
        try:
            outcome = environment.invoke(
                json.dumps({"image": base64.b64encode(data).decode()}).encode(), str(uuid.uuid4())
            )
        finally:
            environment.end()
        if outcome.function_error or b'"label"' not in outcome.payload:
            raise RuntimeError(f"{name}: {outcome.payload[:300]!r}")
        peaks[name] = outcome.memory_mib
    highest = max(peaks, key=lambda name: peaks[name])
    detail = ", ".join(f"{name} {peak} MiB" for name, peak in peaks.items())
    pixels = Limits().max_pixels / 1e6
    what = f"peak resident set with {pixels:.0f} MP against a setting of {MEMORY_MIB} MB; highest: {highest}"
    return PartResult([Row("Memory, largest allowed image", what, peaks[highest] / MEMORY_MIB, 1.0, "most", detail)])


def _images() -> dict[str, bytes]:
    """Return images with the maximum number of pixels, in the formats that need the most memory (docs/api.md)."""
    side = math.isqrt(Limits().max_pixels)
    # Blocks of a photo's colours, so that lossless formats stay below the size limit.
    blocks = Image.open(BytesIO(photo(side // 20, side // 20))).resize((side, side), Image.Resampling.NEAREST)
    transparent = blocks.copy()
    transparent.putalpha(blocks.getchannel(0))

    def saved(image: Image.Image, kind: str, **options: object) -> bytes:
        buffer = BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return {
        "JPEG": saved(blocks, "JPEG", quality=60),
        "progressive JPEG, 4:4:4": saved(blocks, "JPEG", quality=60, progressive=True, subsampling=0),
        "PNG with alpha": saved(transparent, "PNG", compress_level=1),
        "WebP with alpha, lossless": saved(transparent, "WEBP", lossless=True, quality=20, method=1),
    }
