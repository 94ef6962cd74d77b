"""The user's own images, checked before anything is deployed."""

from __future__ import annotations

import contextlib
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcloud.errors import CloudError

if TYPE_CHECKING:
    from pathlib import Path

    from infra.settings import InputSettings

# An event of 6 MiB less its base64, headers and context: what every request can carry.
DIRECT_BYTES = 4_500_000
UNKNOWN = "application/octet-stream"


@dataclass(frozen=True)
class ImageFile:
    """A file to classify.

    Attributes
    ----------
    expected
        The golden label; None for the user's own image.
    """

    path: Path
    expected: str | None = None

    @property
    def direct(self) -> bool:
        """Whether a request carries it; larger ones are uploaded first."""
        return self.path.stat().st_size <= DIRECT_BYTES


def check(path: Path, inputs: InputSettings) -> ImageFile:
    """Check a file as far as possible without the endpoint, which decides which formats it accepts.

    Raises
    ------
    CloudError
        If there is no such file, it is not an image, or it is larger than this deployment takes.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CloudError(f"{path} is not a file.")
        media_type(path)
    except OSError as error:
        raise CloudError(f"{path} cannot be read: {error.strerror}.") from error
    if status.st_size > inputs.max_image_bytes:
        raise CloudError(
            f"{path} has {status.st_size} bytes, and inputs.max_image_bytes is {inputs.max_image_bytes}: "
            "make it smaller, or raise the setting with --set inputs.max_image_bytes=BYTES."
        )
    image = ImageFile(path)
    if not image.direct and not inputs.uploads.enabled:
        raise CloudError(
            f"{path} has {status.st_size} bytes. A request carries about {DIRECT_BYTES}; larger images are uploaded, "
            "which inputs.uploads.enabled=false turns off."
        )
    return image


def media_type(path: Path) -> str:
    """The image's media type by its content, as the image library names it.

    Raises
    ------
    CloudError
        If it is not an image.
    """
    from PIL import Image, UnidentifiedImageError

    with contextlib.suppress(ImportError):
        import pi_heif

        pi_heif.register_heif_opener()
    try:
        with Image.open(path) as image:
            return str(Image.MIME.get(image.format or "", UNKNOWN))
    except UnidentifiedImageError as error:
        raise CloudError(f"{path} is not an image: a file in an image format is needed.") from error
    except Image.DecompressionBombError:
        # It is an image; the endpoint decides whether it is too large.
        return UNKNOWN
