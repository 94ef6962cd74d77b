"""The orientation of an image from its metadata, read within bounds.

Pillow reads every entry of an EXIF block to find one, and every entry may refer to the same megabyte, so a small file
can fill memory. This module searches one directory for one number, in one pass.
"""

from __future__ import annotations

import re
import struct

_ORIENTATION = 0x0112
# TIFF 6.0, section 2: type -> format of one value that can hold an orientation.
_WHOLE_NUMBERS = {3: "H", 4: "I"}
_ENTRY = 12
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def read_orientation(exif: bytes | None, xmp: bytes | None = None) -> int:
    """Return the orientation, 1 to 8: that of the EXIF block, else that of the XMP packet, else 1.

    Parameters
    ----------
    exif
        The block, with or without its marker ``Exif`` before the TIFF header. A broken one is ignored.
    xmp
        The packet as XML.
    """
    value = _of_exif(exif.removeprefix(b"Exif\0\0")) if exif else None
    if value is None and xmp and (match := _XMP.search(xmp)):
        value = int(match[1])
    return value if value is not None and 1 <= value <= 8 else 1


def _of_exif(block: bytes) -> int | None:
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return None
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return None
    (entries,) = struct.unpack_from(order + "H", block, start)
    last = min(start + 2 + entries * _ENTRY, len(block)) - _ENTRY
    for place in range(start + 2, last + 1, _ENTRY):
        tag, kind, count = struct.unpack_from(order + "HHI", block, place)
        if tag == _ORIENTATION and count == 1 and kind in _WHOLE_NUMBERS:
            return int(struct.unpack_from(order + _WHOLE_NUMBERS[kind], block, place + 8)[0])
    return None


def of_text(profile: str) -> bytes | None:
    """Return the EXIF block that ImageMagick writes into PNG as hex digits ("Raw profile type exif")."""
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return None
