"""Read large images of samples from their bucket."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from loupe.shadow.sample import PREFIX
from loupe.sources.s3 import S3Location, S3Object, S3Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from loupe.sources.s3_reader import ObjectReader

_SECONDS = 10.0


def sample_reader(bucket: str, max_bytes: int) -> Callable[[str], bytes]:
    """Return a function that reads a sample's object by its key; its first call imports boto3."""

    @cache
    def reader() -> ObjectReader:
        from loupe.sources.s3_reader import ObjectReader

        return ObjectReader(S3Rules(locations=(S3Location(bucket, PREFIX),), timeout_seconds=_SECONDS), max_bytes)

    return lambda key: reader().read(S3Object(bucket, key))
