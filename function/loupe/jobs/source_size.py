"""Number of images of a job's source, from a few reads: exact for small sources, estimated for large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loupe.errors import ManifestInvalid
from loupe.jobs.manifest import check_beginning
from loupe.jobs.storage import storage_problems

if TYPE_CHECKING:
    from loupe.jobs.request import JobSource
    from loupe.jobs.storage import Storage

# Bytes of a manifest's beginning by which the length of its rows is estimated.
SAMPLE_BYTES = 65_536
# Objects of a prefix that are listed: at most this many pages of 1,000.
MAX_PAGES = 5
# Readers take files of at most 10 GB (Step Functions developer guide, 'ItemReader').
MAX_MANIFEST_BYTES = 10 * 1000**3


class SourceSize(NamedTuple):
    """Images of a source; ``exact`` is false for an estimate, or if only the first pages were counted."""

    images: int
    exact: bool


def measure(source: JobSource, s3: Storage) -> SourceSize:
    """Read enough of a source to count or estimate its images.

    Raises
    ------
    loupe.errors.ManifestInvalid
        If there is nothing to process: no such object, an empty one, or one that is too large.
    loupe.errors.JobsUnavailable
        If S3 does not answer.
    """
    if source.type == "prefix":
        return _prefix(source, s3)
    return _manifest(source, s3)


def _manifest(source: JobSource, s3: Storage) -> SourceSize:
    missing = ManifestInvalid("There is no such manifest, or this deployment may not read it. Check bucket and key.")
    empty = ManifestInvalid("The manifest is empty: it lists no images.")
    with storage_problems(missing, empty):
        response = s3.get_object(Bucket=source.bucket, Key=source.key, Range=f"bytes=0-{SAMPLE_BYTES - 1}")
        with response["Body"] as body:
            sample: bytes = body.read(SAMPLE_BYTES)
    # Content-Range: bytes 0-65535/<size>; without one the whole object came.
    total = int(str(response.get("ContentRange", f"/{len(sample)}")).rpartition("/")[2])
    if total > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(f"The manifest has {total:,} bytes, and at most {MAX_MANIFEST_BYTES:,} can be read.")
    whole = total <= len(sample)
    rows = sum(bool(line.strip()) for line in sample.splitlines())
    if rows:
        check_beginning(sample, source.type, whole=whole)
    header = 1 if source.type == "csv" else 0
    if rows <= header:
        if not whole:
            raise ManifestInvalid(f"The first {len(sample):,} bytes of the manifest list no image.")
        raise empty
    if whole:
        return SourceSize(rows - header, exact=source.type == "jsonl")
    return SourceSize(max(1, round(rows * total / len(sample)) - header), exact=False)


def _prefix(source: JobSource, s3: Storage) -> SourceSize:
    from loupe.bulk.items import is_skipped

    missing = ManifestInvalid("This prefix cannot be listed by this deployment. Check the bucket.")
    images, token = 0, None
    for _ in range(MAX_PAGES):
        arguments = {"Bucket": source.bucket, "Prefix": source.key}
        if token is not None:
            arguments["ContinuationToken"] = token
        with storage_problems(missing, missing):
            page = s3.list_objects_v2(**arguments)
        images += sum(not is_skipped(item["Key"]) for item in page.get("Contents", ()))
        token = page.get("NextContinuationToken")
        if token is None:
            if not images:
                raise ManifestInvalid("There are no images below this prefix.")
            return SourceSize(images, exact=True)
    return SourceSize(images, exact=False)
