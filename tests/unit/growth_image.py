"""Readers of image files: what their first bytes say, before anything is decoded."""

from __future__ import annotations

from growth import Reader, repeated
from loupe.formats import declared_size, has_more_scans, media_type_of, only_scan

JPEG = b"\xff\xd8\xff\xe0\x00\x04JF"
JPEG_FAMILIES = {
    "fill bytes": repeated(b"\xff", JPEG),
    "empty segments": repeated(b"\xff\xe1\x00\x02", JPEG),
    "segments without content": repeated(b"\xff\xe1\x00\x00", JPEG),
    "bare markers": repeated(b"\xff\x01", JPEG),
    "scans": repeated(b"\xff\xda\x00\x02", JPEG),
    "zeros": repeated(b"\x00", JPEG),
}

READERS = (
    Reader(
        "media type",
        ("loupe.formats:media_type_of",),
        media_type_of,
        {"zeros": repeated(b"\x00"), "a container's start": repeated(b"RIFF")},
        0.5,
    ),
    Reader(
        "headers",
        ("loupe.formats:declared_size", "loupe.formats:only_scan"),
        lambda data: (declared_size(data, "image/jpeg"), only_scan(data)),
        JPEG_FAMILIES,
        0.5,
    ),
    Reader(
        "scans",
        ("loupe.formats:has_more_scans",),
        lambda data: has_more_scans(data, 100),
        JPEG_FAMILIES,
        0.5,
    ),
)
