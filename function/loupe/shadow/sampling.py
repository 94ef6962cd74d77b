"""Which images are sampled: by their content, so that the same image is always sampled or never."""

from __future__ import annotations

from hashlib import blake2b

# The end of a file is compressed image data in the common formats, and hashing it takes at most 0.1 ms.
_TAIL_BYTES = 64 * 1024
_DIGEST_BYTES = 8
_DIGESTS = 2.0 ** (8 * _DIGEST_BYTES)


def is_sampled(data: bytes, share: float) -> bool:
    """Whether an image belongs to the sample, which is a ``share`` (0 to 1) of all contents.

    A client that knows this can send images that are in the sample or not in it: that changes what is compared and what
    the shadow costs, within the limits of `loupe.shadow.sender`, but no response.
    """
    digest = blake2b(data[-_TAIL_BYTES:], digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest) < share * _DIGESTS
