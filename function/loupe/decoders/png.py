"""PNG: the default image, or the first frame."""

from __future__ import annotations

from PIL.PngImagePlugin import PngImageFile

from loupe.decoders import Metered, Picture, Plan, loaded


def decode(data: bytes, plan: Plan) -> Picture:
    """Decode; see `loupe.image.decode`."""
    file = PngImageFile(Metered(data))
    # As the decoder has it: a file may have two headers.
    plan.check(file.size)
    return loaded(file)
