"""PNG: the default image, or the first frame."""

from __future__ import annotations

from PIL.PngImagePlugin import PngImageFile, PngStream

from loupe.decoders import DecodedImage, Plan, ReadLimitedFile, loaded


class _Stream(PngStream):
    """Inflates one colour profile: a chunk of 1 KB may inflate to 1 MB, and a file may have thousands of them."""

    _profiles = 0

    def chunk_iCCP(self, pos: int, length: int) -> bytes:  # noqa: N802 (Pillow's name)
        self._profiles += 1
        if self._profiles > 1 and self.fp is not None:
            # Only the first is used, as in libpng.
            return self.fp.read(length)
        return super().chunk_iCCP(pos, length)


class _Png(PngImageFile):
    """Reads chunks with `_Stream`, which Pillow's ``_open`` has no parameter for."""

    _stream: PngStream | None = None

    @property
    def png(self) -> PngStream | None:
        """Return the chunk reader."""
        return self._stream

    @png.setter
    def png(self, stream: PngStream | None) -> None:
        self._stream = _Stream(stream.fp) if stream is not None and stream.fp is not None else None


def decode(data: bytes, plan: Plan) -> DecodedImage:
    """Decode; see `loupe.image.decode`."""
    file = _Png(ReadLimitedFile(data))
    # The decoder's size: a file may have two headers.
    plan.check(file.size)
    return loaded(file)
