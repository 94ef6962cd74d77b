"""Bulk jobs of the deployed stack: manifests, requests, rows, and execution environments that are killed."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from localcloud.jobs import Jobs
from localcloud.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deployment import Deployed, Response

SECONDS = 240.0


@dataclass
class Bulk:
    """The job routes and the bucket, as a caller with an API key has them."""

    deployed: Deployed
    api_key: str = ""

    def __post_init__(self) -> None:
        self.s3 = self.deployed.client("s3")
        self.bucket = str(self.deployed.endpoint["outputs"]["BulkBucket"])
        self.jobs = Jobs(self.deployed.endpoint, self.s3)

    def put(self, key: str, body: bytes) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def manifest(self, name: str, rows: Iterable[Mapping[str, str]]) -> str:
        return self.put(f"inputs/{name}", "".join(json.dumps(row) + "\n" for row in rows).encode())

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Response:
        sent = {"Content-Type": "application/json", **(headers or {})}
        if self.api_key:
            sent["x-api-key"] = self.api_key
        data = None if body is None else json.dumps(body).encode()
        return self.deployed.call(path, data, key=not self.api_key, method=method, headers=sent)

    def start(self, headers: Mapping[str, str] | None = None, **body: Any) -> str:
        response = self.call("POST", "/v1/jobs", body, headers)
        assert response.status == 202, response.body
        return str(response.json["id"])

    def show(self, job: str) -> Any:
        response = self.call("GET", f"/v1/jobs/{job}")
        assert response.status == 200, response.body
        return response.json

    def wait(self, job: str) -> Any:
        """The job once it has ended."""
        assert wait_until(lambda: self.show(job)["state"] != "running", SECONDS, interval=0.3)
        return self.show(job)

    def rows(self, job: str) -> list[dict[str, Any]]:
        """Rows of a job by index: asserts that no index has two."""
        rows = sorted(self.jobs.rows(job), key=lambda row: row["index"])
        indices = [row["index"] for row in rows]
        assert len(set(indices)) == len(indices)
        return rows

    def wait_for_more_rows(self, job: str) -> None:
        """Wait until the running job has written some more rows, or has ended."""
        written = len(self.rows(job))
        assert wait_until(
            lambda: len(self.rows(job)) > written or self.show(job)["state"] != "running", SECONDS, interval=0.2
        )

    def environments(self) -> list[int]:
        """Process ids of the bulk function's runtime emulators."""
        processes = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                variables = (folder / "environ").read_bytes().split(b"\0") if folder.name.isdigit() else []
                endpoint = f"AWS_ENDPOINT_URL={self.deployed.account.endpoint}".encode()
                if b"AWS_LAMBDA_FUNCTION_NAME=loupe-local-bulk" in variables and endpoint in variables:
                    processes.append(int(folder.name))
        return processes

    def kill_environment(self) -> bool:
        """Kill the processes of the bulk function's environments; whether there were any."""
        killed = False
        for pid in self.environments()[:3]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed = True
        return killed


def photo(shade: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 64), (shade % 256, 80, 60)).save(buffer, "JPEG")
    return buffer.getvalue()
