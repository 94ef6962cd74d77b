"""GIF: the first frame."""

from __future__ import annotations

from PIL.GifImagePlugin import GifImageFile

from loupe.decoders import Metered, Picture, Plan, loaded


class _FirstFrame(GifImageFile):
    """Prepares nothing for a second frame: Pillow allocates a background for it while it opens the first."""

    @property
    def disposal_method(self) -> int:
        """None, whatever the file says."""
        return 0

    @disposal_method.setter
    def disposal_method(self, _: int) -> None:
        pass


def decode(data: bytes, plan: Plan) -> Picture:
    """Decode; see `loupe.image.decode`."""
    file = _FirstFrame(Metered(data))
    # As the decoder has it: the first frame may be larger than the screen.
    plan.check(file.size)
    return loaded(file)
