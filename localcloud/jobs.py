"""The routes of bulk jobs and their bucket, as a client on this machine uses them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from localcloud import isolation
from localcloud.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A request waits for the cold start of the jobs function.
SECONDS = 60.0


class Jobs:
    """Starts, shows and stops jobs, and reads their rows.

    Parameters
    ----------
    endpoint
        What ``.local/endpoint.json`` holds.
    s3
        boto3 client of the emulated S3.

    Raises
    ------
    CloudError
        If the deployment has no bulk jobs.
    """

    def __init__(self, endpoint: Mapping[str, Any], s3: Any) -> None:
        if "BulkBucket" not in endpoint["outputs"]:
            raise CloudError("This cloud has no bulk jobs: start it with bulk.enabled, as environment local has it.")
        self._endpoint, self._s3 = endpoint, s3
        self.bucket = str(endpoint["outputs"]["BulkBucket"])

    def start(self, key: str, idempotency_key: str) -> dict[str, Any]:
        """Start a job over a manifest in the bucket; the result has ``id``."""
        body = {"manifest": f"s3://{self.bucket}/{key}", "top": "all", "tolerated_failure_percentage": 100}
        return self._call("POST", "v1/jobs", body, {"Idempotency-Key": idempotency_key})

    def show(self, job_id: str) -> dict[str, Any]:
        return self._call("GET", f"v1/jobs/{job_id}")

    def stop(self, job_id: str) -> dict[str, Any]:
        return self._call("DELETE", f"v1/jobs/{job_id}")

    def rows(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Rows of all batches that have ended, in no order."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"jobs/{job_id}/rows/")
        for page in pages:
            for listed in page.get("Contents", ()):
                body = self._s3.get_object(Bucket=self.bucket, Key=listed["Key"])["Body"]
                for line in body.iter_lines():
                    yield json.loads(line)

    def _call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - this machine's own endpoint
            f"{self._endpoint['url']}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "x-api-key": self._endpoint["api_key"] or "", **(headers or {})},
            method=method,
        )
        try:
            with isolation.opener.open(request, timeout=SECONDS) as response:
                result: dict[str, Any] = json.load(response)
                return result
        except urllib.error.HTTPError as error:
            raise CloudError(f"{method} /{path} answered HTTP {error.code}: {_detail(error.read())}") from error
        except OSError as error:
            raise CloudError(f"{method} /{path} had no answer: {error}") from error


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
