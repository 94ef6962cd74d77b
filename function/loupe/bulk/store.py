"""The results bucket as the bulk function uses it: whole small objects, read and written in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnectionError

from loupe.sources.s3_errors import is_transient

if TYPE_CHECKING:
    from collections.abc import Mapping

# Rows are written at the end of an invocation, in the time that is kept for it.
_CLIENT_CONFIG = Config(connect_timeout=1, read_timeout=10, retries={"total_max_attempts": 4, "mode": "standard"})
_ABSENT = frozenset({"NoSuchKey", "404"})


class StoreUnavailableError(Exception):
    """S3 throttled or did not answer: another attempt may succeed."""


class Client(Protocol):
    """The calls of boto3's S3 client that are used."""

    def get_object(self, **arguments: Any) -> Mapping[str, Any]: ...
    def put_object(self, **arguments: Any) -> Mapping[str, Any]: ...


def results_client() -> Any:
    """Create a client for the results bucket."""
    return boto3.client("s3", config=_CLIENT_CONFIG)


class ResultStore:
    """Reads and writes objects of the results bucket; safe to use from several threads.

    Its methods raise `StoreUnavailableError` when S3 throttles or does not answer. Other errors, such as missing
    permissions, stay botocore's.
    """

    def __init__(self, bucket: str, client: Client) -> None:
        self._bucket, self._client = bucket, client

    def read(self, key: str) -> bytes | None:
        """Return an object's content, or None if there is no such object."""
        try:
            with self._client.get_object(Bucket=self._bucket, Key=key)["Body"] as body:
                content: bytes = body.read()
        except (ClientError, NoConnectionError, HTTPClientError, IncompleteReadError) as error:
            if _code(error) in _ABSENT:
                return None
            raise _translated(error) from error
        return content

    def write(self, key: str, content: bytes, content_type: str = "application/x-ndjson") -> None:
        """Write an object; an existing one is replaced."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType=content_type)
        except (ClientError, NoConnectionError, HTTPClientError) as error:
            raise _translated(error) from error

    def write_once(self, key: str, content: bytes, content_type: str = "application/json") -> bool:
        """Write an object unless there is one (a conditional write).

        Returns
        -------
        bool
            Whether this call wrote it.
        """
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=content, ContentType=content_type, IfNoneMatch="*"
            )
        except (ClientError, NoConnectionError, HTTPClientError) as error:
            if _code(error) == "PreconditionFailed":
                return False
            raise _translated(error) from error
        return True


def _translated(error: Exception) -> Exception:
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
        if not is_transient(_code(error), status):
            return error
    return StoreUnavailableError(type(error).__name__)


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
