"""S3 as the jobs see it: its failures as problems, the results bucket, and presigned links."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnectionError

from loupe.jobs.engine import error_code, unavailable
from loupe.sources.s3_errors import is_transient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loupe.errors import Problem

# The largest summary.json: `loupe.jobs.summarize` writes no larger one.
MAX_SUMMARY_BYTES = 1024 * 1024
# The object is not there; without the right to list the bucket S3 says AccessDenied instead.
_ABSENT = frozenset({"NoSuchKey", "NoSuchBucket", "404", "AccessDenied", "403"})


class Storage(Protocol):
    """The calls of boto3's S3 client that are used."""

    def get_object(self, **arguments: Any) -> Mapping[str, Any]: ...
    def put_object(self, **arguments: Any) -> Mapping[str, Any]: ...
    def list_objects_v2(self, **arguments: Any) -> Mapping[str, Any]: ...
    def generate_presigned_url(self, operation: str, /, **arguments: Any) -> str: ...


class ResultsBucket:
    """The bucket that jobs write to."""

    def __init__(self, bucket: str, s3: Storage, link_seconds: int = 900) -> None:
        self.bucket, self._s3, self._link_seconds = bucket, s3, link_seconds

    def read_json(self, key: str) -> dict[str, Any] | None:
        """Return a small JSON object, or None if there is none.

        Raises
        ------
        ValueError
            If it has more than `MAX_SUMMARY_BYTES`, or is not JSON.
        loupe.errors.JobsUnavailable
        """
        try:
            with network_problems(), self._s3.get_object(Bucket=self.bucket, Key=key)["Body"] as body:
                data: bytes = body.read(MAX_SUMMARY_BYTES + 1)
        except ClientError as error:
            if error_code(error) in _ABSENT:
                return None
            raise
        if len(data) > MAX_SUMMARY_BYTES:
            raise ValueError(f"the object has more than {MAX_SUMMARY_BYTES:,} bytes")
        value = json.loads(data)
        return value if isinstance(value, dict) else None

    def list_files(self, prefix: str, after: str | None, most: int) -> tuple[list[tuple[str, int]], bool]:
        """Return names (below the prefix) and sizes in bytes of files, and whether there are more.

        Raises
        ------
        loupe.errors.JobsUnavailable
        """
        more = {} if after is None else {"StartAfter": prefix + after}
        with network_problems():
            page = self._s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=most, **more)
        files = [(item["Key"].removeprefix(prefix), int(item["Size"])) for item in page.get("Contents", ())]
        return files, bool(page.get("IsTruncated"))

    def link(self, key: str) -> str:
        """Return a presigned URL, with which any holder may read an object until it expires; nothing is sent to S3."""
        return self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=self._link_seconds
        )


@contextmanager
def network_problems() -> Iterator[None]:
    """Turn throttling by S3 and missing responses into `loupe.errors.JobsUnavailable`."""
    try:
        yield
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
        if is_transient(error_code(error), status):
            raise unavailable() from error
        raise
    except (NoConnectionError, HTTPClientError, IncompleteReadError) as error:
        raise unavailable() from error


@contextmanager
def storage_problems(absent: Problem, empty: Problem) -> Iterator[None]:
    """As `network_problems`; an object that is not there raises ``absent``, a range of an empty one ``empty``."""
    try:
        with network_problems():
            yield
    except ClientError as error:
        code = error_code(error)
        if code in _ABSENT or code == "InvalidObjectState":
            raise absent from error
        if code in ("InvalidRange", "416"):
            raise empty from error
        raise
