"""WebP: the first frame."""

from __future__ import annotations

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from loupe.decoders import DecodedImage, Plan, ReadLimitedFile, orientation, typed


def decode(data: bytes, plan: Plan) -> DecodedImage:
    """Decode the first frame and release the decoder; see `loupe.image.decode`.

    libwebp's animation decoder, which Pillow uses for all WebP files, keeps two canvases. Pillow's own ``load`` holds
    them while it copies the frame twice: at 25 million pixels this needs 100 MB less.
    """
    file = WebPImageFile(ReadLimitedFile(data))
    plan.check(file.size)
    pixels, _ = file._decoder.get_next()  # noqa: SLF001  (Pillow is pinned, and tests hold this to its own load)
    del file._decoder  # noqa: SLF001
    image = Image.frombuffer(file.rawmode, file.size, pixels, "raw", file.rawmode, 0, 1)
    info = typed(file.info)
    return DecodedImage(image, orientation(info), info.get("icc_profile"))
