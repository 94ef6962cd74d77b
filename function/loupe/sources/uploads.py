"""Images larger than a request may be: a presigned POST to the upload bucket (S3 user guide, 'POST policy')."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from loupe.errors import UploadsOff
from loupe.sources.s3 import UPLOAD_PREFIX, S3Rules

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_ANY_IMAGE = "image/*"


def presign(rules: S3Rules, max_bytes: int, client: S3Client | None = None) -> dict[str, Any]:
    """Return the address and form fields of one upload, and the ``s3`` source that classifies it afterwards.

    S3 enforces the policy: size, key and media type. Nothing is sent to S3 here.

    Raises
    ------
    loupe.errors.UploadsOff
        If the settings name no upload bucket.
    """
    if not rules.upload_bucket:
        raise UploadsOff("This endpoint has no upload bucket. Send the image itself.")
    from loupe.sources.s3_reader import connect

    # 128 random bits: the key cannot be guessed.
    key = f"{UPLOAD_PREFIX}{secrets.token_hex(16)}"
    expires = datetime.now(UTC) + timedelta(seconds=rules.upload_seconds)
    post = (client or connect(rules.timeout_seconds)).generate_presigned_post(
        rules.upload_bucket,
        key,
        Fields={"Content-Type": _ANY_IMAGE},
        Conditions=[["content-length-range", 1, max_bytes], ["starts-with", "$Content-Type", "image/"]],
        ExpiresIn=rules.upload_seconds,
    )
    return {
        "upload": {
            "url": post["url"],
            "fields": post["fields"],
            "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "max_bytes": max_bytes,
        },
        "s3": {"bucket": rules.upload_bucket, "key": key},
    }
