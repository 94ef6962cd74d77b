"""Read the S3 objects that the rules allow, and create the client for it. Imported by requests that need it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnectionError

from loupe.errors import ImageTooLarge, S3Unavailable, S3Unreachable
from loupe.sources.s3_errors import is_transient

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.client import S3Client

    from loupe.sources.s3 import S3Object, S3Rules

_CHUNK = 256 * 1024
# Error codes (S3 API reference, 'Error responses') of failures that no client can fix: credentials, clock and account
# of this function. They are raised as they are and become a 500.
_SERVER_FAULTS = frozenset(
    {
        "AccountProblem",
        "AuthorizationHeaderMalformed",
        "CredentialsNotSupported",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidSecurity",
        "InvalidToken",
        "MissingSecurityElement",
        "MissingSecurityHeader",
        "NotSignedUp",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)


def connect(timeout_seconds: float) -> S3Client:
    """Create a client with short timeouts. Virtual-hosted addresses keep presigned ones in the bucket's region."""
    return boto3.client(
        "s3",
        config=Config(
            signature_version="s3v4",
            connect_timeout=min(1.0, timeout_seconds),
            read_timeout=timeout_seconds / 2,
            retries={"total_max_attempts": 2, "mode": "standard"},
            s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
        ),
    )


class ObjectReader:
    """Reads the objects that `S3Rules` allow, each at most ``max_bytes`` long."""

    def __init__(self, rules: S3Rules, max_bytes: int, client: S3Client | None = None) -> None:
        self._rules, self._max_bytes = rules, max_bytes
        self._client = client or connect(rules.timeout_seconds)

    def read(
        self,
        source: S3Object,
        *,
        seconds: float | None = None,
        hosts: list[str] | None = None,  # noqa: ARG002 (of URLs)
    ) -> bytes:
        """Return the object's content.

        Raises
        ------
        loupe.errors.S3NotAllowed
            If the settings do not name its bucket and prefix.
        S3Unreachable
            If it does not exist or may not be read.
        S3Unavailable
            If S3 did not respond in time.
        ImageTooLarge
            If it is larger than ``max_bytes``, by its declared length before it is read.
        """
        self._rules.check(source)
        limit = self._rules.timeout_seconds if seconds is None else min(seconds, self._rules.timeout_seconds)
        deadline = time.monotonic() + limit
        version = {} if source.version_id is None else {"VersionId": source.version_id}
        try:
            reply = self._client.get_object(Bucket=source.bucket, Key=source.key, **version)  # type: ignore[arg-type]
            body = reply["Body"]
            try:
                if reply["ContentLength"] > self._max_bytes:
                    raise self._too_large()
                return self._drain(body, deadline)
            finally:
                body.close()
        except ClientError as error:
            raise _problem_of(error) from error
        except (NoConnectionError, HTTPClientError, IncompleteReadError) as error:
            raise _unavailable() from error

    def _drain(self, body: StreamingBody, deadline: float) -> bytes:
        data = bytearray()
        while chunk := body.read(_CHUNK):
            data += chunk
            if len(data) > self._max_bytes:
                raise self._too_large()
            if time.monotonic() >= deadline:
                raise _unavailable()
        return bytes(data)

    def _too_large(self) -> ImageTooLarge:
        return ImageTooLarge(f"The S3 object is larger than {self._max_bytes:,} bytes. Use a smaller one.")


def _problem_of(error: ClientError) -> S3Unreachable | S3Unavailable | ClientError:
    """Return what to raise for an error of S3.

    Every other 3xx and 4xx is about the requested object: its key, version, storage class, encryption key or bucket.
    Without permission to list a bucket a missing key is AccessDenied, so the client gets one sentence for all.
    """
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    if code in _SERVER_FAULTS:
        return error
    if is_transient(code, status):
        return _unavailable()
    return S3Unreachable("There is no such object, or this endpoint may not read it. Check bucket, key and version.")


def _unavailable() -> S3Unavailable:
    return S3Unavailable("S3 did not return the object in time. Send the request again.", headers={"Retry-After": "1"})
