"""JPEG by libjpeg-turbo, scaled down while decoding where the card allows it."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL.JpegImagePlugin import JpegImageFile

from loupe.decoders import Metered, Picture, Plan, loaded, orientation, typed
from loupe.errors import ImageUndecodable
from loupe.formats import up_to_scans

if TYPE_CHECKING:
    from loupe.card import InputSpec

# A scan passes over the whole picture, 2.3 ms for a million pixels at most (arithmetic coding; Huffman coding 1 ms).
# Programs write 10 or so. So scans x pixels is bounded, and for pictures of any allowed size 30 scans are.
_SCAN_PIXELS = 750_000_000
_LEAST_SCANS, _MOST_SCANS = 30, 100
# A segment has 64 KiB; what cameras write fits into one.
_MAX_EXIF_BYTES = 512 * 1024
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})


class _Info(dict[Any, Any]):
    """What Pillow collects. It appends each EXIF segment to a copy of those before: thousands would take minutes."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if key == "exif" and len(value) > _MAX_EXIF_BYTES:
            raise ImageUndecodable("The JPEG has too much EXIF data. Save it again without it.")
        super().__setitem__(key, value)


class _Jpeg(JpegImageFile):
    def _open(self) -> None:
        self.info = _Info()
        super()._open()

    def _read_dpi_from_exif(self) -> None:
        """Leave the resolution alone: Pillow would read a list of a million fractions if the file has it so."""


def decode(data: bytes, plan: Plan) -> Picture:
    """Decode; see `loupe.image.decode`."""
    file = _Jpeg(Metered(data))
    plan.check(file.size)
    scans = max(_LEAST_SCANS, min(_MOST_SCANS, _SCAN_PIXELS // (file.width * file.height)))
    pixels = up_to_scans(data, scans)
    file.fp = BytesIO(pixels)
    # All at once: after each part, libjpeg would begin anew in a long run of fill bytes.
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
    """Let libjpeg decode at 1/2, 1/4 or 1/8 where no side falls below ``jpeg_draft`` times what the resize needs."""
    swapped = spec.exif == "apply" and orientation(typed(file.info)) in _SIDES_SWAPPED
    upright = (file.height, file.width) if swapped else file.size
    width, height = spec.resized(*upright)
    least = (height, width) if swapped else (width, height)
    file.draft(None, (max(1, round(least[0] * spec.jpeg_draft)), max(1, round(least[1] * spec.jpeg_draft))))
