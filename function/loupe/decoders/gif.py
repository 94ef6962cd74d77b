"""GIF: the first frame."""

from __future__ import annotations

from PIL.GifImagePlugin import GifImageFile

from loupe.decoders import DecodedImage, Plan, ReadLimitedFile, loaded


class _FirstFrame(GifImageFile):
    """Skips the second frame, for which Pillow allocates a background when it opens the first."""

    @property
    def disposal_method(self) -> int:
        """Always None."""
        return 0

    @disposal_method.setter
    def disposal_method(self, _: int) -> None:
        pass


def decode(data: bytes, plan: Plan) -> DecodedImage:
    """Decode; see `loupe.image.decode`."""
    file = _FirstFrame(ReadLimitedFile(data))
    # The decoder's size: the first frame may be larger than the screen.
    plan.check(file.size)
    return loaded(file)
