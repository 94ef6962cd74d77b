"""Images in S3: which objects may be read.

`loupe.sources.s3_reader` reads them. It imports boto3: it is imported on first use, after the rules allowed an object.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from loupe.errors import RequestInvalid, S3NotAllowed
from loupe.json_body import shown

if TYPE_CHECKING:
    from loupe.image import Limits
    from loupe.sources.s3_reader import ObjectReader

UPLOAD_PREFIX = "uploads/"
MAX_S3_KEY_BYTES = 1024
# Control characters, and unpaired surrogates, which no encoding can carry.
INVALID_IN_KEYS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_DOT_SEGMENTS = frozenset({".", ".."})


class S3Object(NamedTuple):
    """An image in a bucket."""

    bucket: str
    key: str
    version_id: str | None = None


class S3Location(NamedTuple):
    """Objects that may be read: a bucket, or the part of it whose keys begin with ``prefix`` (ends with a slash)."""

    bucket: str
    prefix: str = ""


class S3Rules(NamedTuple):
    """Which objects may be read, and the bucket of uploads ('' for none).

    ``upload_origins`` are the web origins of the upload bucket.
    """

    locations: tuple[S3Location, ...] = ()
    upload_bucket: str = ""
    upload_seconds: int = 300
    timeout_seconds: float = 5.0
    upload_origins: tuple[str, ...] = ()

    def check(self, source: S3Object) -> None:
        """Reject an object outside the locations; uploads are always inside.

        Raises
        ------
        loupe.errors.S3NotAllowed
        """
        places = [(location.bucket, location.prefix) for location in self.locations]
        if self.upload_bucket:
            places.append((self.upload_bucket, UPLOAD_PREFIX))
        if not places:
            raise S3NotAllowed("This endpoint does not read from S3. Send the image itself.")
        if not any(source.bucket == bucket and source.key.startswith(prefix) for bucket, prefix in places):
            raise S3NotAllowed("This bucket or prefix is not one that this endpoint reads from.")
        # S3 keeps such keys apart, but any program on the path may resolve them to another prefix.
        if not _DOT_SEGMENTS.isdisjoint(source.key.split("/")):
            raise S3NotAllowed(
                "The key has a segment '.' or '..', which is not read here. Copy the object to a key without."
            )


class S3Source:
    """S3 objects as a source type; see `loupe.sources.SourceType`."""

    def __init__(self, rules: S3Rules, limits: Limits) -> None:
        self._rules, self._limits = rules, limits

    def check(self, source: S3Object) -> None:
        self._rules.check(source)

    def load(self) -> ObjectReader:
        from loupe.sources.s3_reader import ObjectReader

        return ObjectReader(self._rules, self._limits.max_bytes)


def parse(value: Any, _limits: Limits) -> S3Object:
    """Parse the value of ``s3``.

    Raises
    ------
    loupe.errors.RequestInvalid
    """
    if not isinstance(value, dict):
        raise RequestInvalid('"s3" must be an object with "bucket" and "key".')
    unknown = [key for key in value if key not in ("bucket", "key", "version_id")]
    if unknown:
        raise RequestInvalid(f'The key {shown(unknown[0])} of "s3" is unknown. Send "bucket" and "key".')
    parts = [value.get("bucket"), value.get("key"), value.get("version_id", "null")]
    for name, part in zip(("bucket", "key", "version_id"), parts, strict=True):
        if not isinstance(part, str) or not part:
            raise RequestInvalid(f'"{name}" of "s3" must be a text that is not empty.')
        if len(part.encode("utf-8", "surrogatepass")) > MAX_S3_KEY_BYTES or INVALID_IN_KEYS.search(part):
            raise RequestInvalid(
                f'"{name}" of "s3" must be at most {MAX_S3_KEY_BYTES} bytes without control characters.'
            )
    return S3Object(value["bucket"], value["key"], value.get("version_id"))


def bucket_origins(bucket: str, region: str, endpoint: str = "") -> tuple[str, ...]:
    """Return the origins of a bucket's presigned addresses; none without bucket or region.

    Source: S3 user guide, 'Virtual hosting'. An ``endpoint`` that is not AWS's may have the bucket in its path.
    """
    if not bucket or not region:
        return ()
    if endpoint:
        scheme, host = urlsplit(endpoint)[:2]
        return f"{scheme}://{host}", f"{scheme}://{bucket}.{host}"
    return (f"https://{bucket}.s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}",)
