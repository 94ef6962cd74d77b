"""Which S3 objects may be read. Apart from `loupe.s3`, so that a refusal does not import boto3."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from loupe.errors import S3NotAllowed

if TYPE_CHECKING:
    from loupe.request import S3Object

UPLOAD_PREFIX = "uploads/"
_DOT_SEGMENTS = frozenset({".", ".."})


class S3Location(NamedTuple):
    """Objects that may be read: a bucket, or the part of it whose keys begin with ``prefix`` (ends with a slash)."""

    bucket: str
    prefix: str = ""


class S3Rules(NamedTuple):
    """Which objects may be read, and where uploads go ('' where the endpoint takes none).

    ``upload_origins`` are the web origins at which a browser reaches the upload bucket.
    """

    locations: tuple[S3Location, ...] = ()
    upload_bucket: str = ""
    upload_seconds: int = 300
    timeout_seconds: float = 5.0
    upload_origins: tuple[str, ...] = ()

    def check(self, source: S3Object) -> None:
        """Refuse an object outside the locations; uploads are always inside.

        Raises
        ------
        loupe.errors.S3NotAllowed
        """
        places = [(location.bucket, location.prefix) for location in self.locations]
        if self.upload_bucket:
            places.append((self.upload_bucket, UPLOAD_PREFIX))
        if not places:
            raise S3NotAllowed("This endpoint does not read from S3. Send the picture itself.")
        if not any(source.bucket == bucket and source.key.startswith(prefix) for bucket, prefix in places):
            raise S3NotAllowed("This bucket or prefix is not one that this endpoint reads from.")
        # S3 keeps such keys apart, but anything between here and there may resolve them to another prefix.
        if not _DOT_SEGMENTS.isdisjoint(source.key.split("/")):
            raise S3NotAllowed(
                "The key has a segment '.' or '..', which is not read here. Copy the object to a key without."
            )


def bucket_origins(bucket: str, region: str, endpoint: str = "") -> tuple[str, ...]:
    """Return the origins of the addresses that `loupe.s3.connect` signs for a bucket; none without bucket or region.

    Source: S3 user guide, 'Virtual hosting'. An ``endpoint`` that is not AWS's may have the bucket in its path.
    """
    if not bucket or not region:
        return ()
    if endpoint:
        scheme, host = urlsplit(endpoint)[:2]
        return f"{scheme}://{host}", f"{scheme}://{bucket}.{host}"
    return (f"https://{bucket}.s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}",)
