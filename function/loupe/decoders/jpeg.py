"""JPEG by libjpeg-turbo, scaled down while decoding where the card allows it."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL.JpegImagePlugin import JpegImageFile

from loupe.decoders import DecodedImage, Plan, ReadLimitedFile, loaded, orientation, typed
from loupe.errors import ImageUndecodable
from loupe.formats import up_to_scans

if TYPE_CHECKING:
    from loupe.card import InputSpec

# A scan passes over the whole image, at most 2.3 ms for a million pixels (arithmetic coding; Huffman coding 1 ms).
# Encoders write about 10. So scans x pixels is bounded, and 30 scans are allowed at any size.
_SCAN_PIXELS = 750_000_000
_MIN_SCANS, _MAX_SCANS = 30, 100
# A segment has 64 KiB; the EXIF of cameras fits into one.
_MAX_EXIF_BYTES = 512 * 1024
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})


class _Info(dict[Any, Any]):
    """Pillow's ``info``. Pillow appends each EXIF segment to a copy of the previous ones: thousands take minutes."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if key == "exif" and len(value) > _MAX_EXIF_BYTES:
            raise ImageUndecodable("The JPEG has too much EXIF data. Save it again without it.")
        super().__setitem__(key, value)


class _Jpeg(JpegImageFile):
    def _open(self) -> None:
        self.info = _Info()
        super()._open()

    def _read_dpi_from_exif(self) -> None:
        """Skip the resolution: Pillow would read a list of a million fractions from it."""


def decode(data: bytes, plan: Plan) -> DecodedImage:
    """Decode; see `loupe.image.decode`."""
    file = _Jpeg(ReadLimitedFile(data))
    plan.check(file.size)
    scans = max(_MIN_SCANS, min(_MAX_SCANS, _SCAN_PIXELS // (file.width * file.height)))
    pixels = up_to_scans(data, scans)
    file.fp = BytesIO(pixels)
    # All at once: libjpeg restarts a long run of fill bytes after each part.
    file.decodermaxblock = len(data)
    if plan.spec.jpeg_draft:
        _draft(file, plan.spec)
    try:
        return loaded(file)
    except OSError:
        if len(pixels) < len(data):
            raise ImageUndecodable(
                f"The JPEG has more than {scans} scans, the most that are read at this size. "
                "Save it again as an ordinary JPEG."
            ) from None
        raise


def _draft(file: JpegImageFile, spec: InputSpec) -> None:
    """Decode at 1/2, 1/4 or 1/8 if no side becomes smaller than ``jpeg_draft`` times the size after resizing."""
    swapped = spec.exif == "apply" and orientation(typed(file.info)) in _SIDES_SWAPPED
    upright = (file.height, file.width) if swapped else file.size
    width, height = spec.resized(*upright)
    least = (height, width) if swapped else (width, height)
    file.draft(None, (max(1, round(least[0] * spec.jpeg_draft)), max(1, round(least[1] * spec.jpeg_draft))))
