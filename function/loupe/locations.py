"""Which S3 objects may be read. Apart from `loupe.s3`, so that a refusal does not import boto3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loupe.errors import S3NotAllowed

if TYPE_CHECKING:
    from loupe.request import S3Object

UPLOAD_PREFIX = "uploads/"


@dataclass(frozen=True)
class S3Location:
    """Objects that may be read: a bucket, or the part of it whose keys begin with ``prefix`` (ends with a slash)."""

    bucket: str
    prefix: str = ""


@dataclass(frozen=True)
class S3Rules:
    """Which objects may be read, and where uploads go ('' where the endpoint takes none)."""

    locations: tuple[S3Location, ...] = ()
    upload_bucket: str = ""
    upload_seconds: int = 300
    timeout_seconds: float = 5.0

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
