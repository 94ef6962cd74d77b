"""The entry points of the bulk and the jobs function, started as Lambda starts them."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bulk_fakes import ENVIRONMENT

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, random, sys
random.random = lambda: 0.0  # botocore repeats a request after a random time
sys.path.insert(0, sys.argv[1])
import {name} as entry
class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self):
        return 10000
try:
    answer = entry.handler(json.loads(sys.argv[2]), Context())
except Exception as error:
    answer = {{"errorType": type(error).__name__, "errorMessage": str(error)}}
print(json.dumps({{"answer": answer, "modules": sorted(sys.modules)}}))
"""
AWS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1",
       "AWS_DEFAULT_REGION": "eu-west-1"}  # fmt: skip

MAP_RUN = "arn:aws:states:eu-west-1:111122223333:mapRun:loupe-bulk/JsonLines:4977ded7"


def start(name: str, event: Any, **variables: str) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name), str(ROOT / "function"), json.dumps(event)],
        env={**ENVIRONMENT, **AWS, **variables}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def test_the_jobs_function_loads_no_model_and_no_image_library() -> None:
    event = {
        "httpMethod": "POST",
        "path": "/v1/jobs",
        "body": "{}",
        "requestContext": {"identity": {"apiKeyId": "key-1"}},
    }
    result = start("jobs", event)
    assert result["answer"]["statusCode"] == 400
    loaded = {name.partition(".")[0] for name in result["modules"]}
    assert loaded & {"numpy", "onnxruntime", "PIL", "pi_heif"} == set()
    assert not {"loupe.model", "loupe.classifier", "loupe.image"} & set(result["modules"])


IMAGE_SECONDS, SUMMARY_SECONDS = 0.2, 0.3


class SlowS3(BaseHTTPRequestHandler):
    """S3 with an empty map, which takes longer to store a summary than images may take to read; and Step Functions."""

    def do_GET(self) -> None:
        self._answer(json.dumps({"ResultFiles": {}}).encode())

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        # Readable within this time only if the client has hung up.
        hung_up, _, _ = select.select([self.connection], [], [], SUMMARY_SECONDS)
        if not hung_up:
            self._answer(b"")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["X-Amz-Target"] == "AWSStepFunctions.DescribeMapRun"
        assert request == {"mapRunArn": MAP_RUN}
        self._answer(json.dumps({"itemCounts": {"total": 0}}).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_summary_waits_longer_for_s3_than_an_image() -> None:
    job = {"id": "a", "source": {"bucket": "photos", "key": "a.jsonl"}, "tolerated_failure_percentage": 5}
    details = {
        "MapRunArn": MAP_RUN,
        "ResultWriterDetails": {"Bucket": "loupe-results", "Key": "jobs/a/map/manifest.json"},
    }
    event = {"action": "summarize", "job": job, "map": details, "started": "2026-11-23T08:58:20.000Z"}
    with ThreadingHTTPServer(("127.0.0.1", 0), SlowS3) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        variables = {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_ENDPOINT_URL_SFN": endpoint}
        answer = start("jobs", event, LOUPE_S3_TIMEOUT_SECONDS=str(IMAGE_SECONDS), **variables)["answer"]
        server.shutdown()
    assert answer.get("status") == "succeeded", answer


def test_the_jobs_function_rejects_other_events() -> None:
    assert start("jobs", {"action": "delete"})["answer"]["errorType"] == "ValueError"


def test_a_missing_setting_stops_the_jobs_function() -> None:
    with pytest.raises(AssertionError, match="LOUPE_AUTH_MODE"):
        start("jobs", {}, LOUPE_AUTH_MODE="")


def test_the_bulk_function_loads_the_model_and_rejects_other_events(tiny_directory: Path) -> None:
    variables = {"LOUPE_MODELS_DIR": str(tiny_directory.parent), "LOUPE_MODEL": tiny_directory.name}
    result = start("bulk", {"ping": 1}, **variables)
    assert result["answer"]["errorType"] == "ValueError"
    assert {"loupe.model", "boto3"} <= set(result["modules"])


def test_the_bulk_function_names_the_error_that_is_retried(tiny_directory: Path) -> None:
    """Nothing answers at this endpoint: S3 does not give what an earlier attempt wrote."""
    variables = {"LOUPE_MODELS_DIR": str(tiny_directory.parent), "LOUPE_MODEL": tiny_directory.name,
                 "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}  # fmt: skip
    job = {"id": "a", "source": {"type": "jsonl", "bucket": "photos", "key": "a.jsonl"}, "top": 5}
    event = {"BatchInput": {"job": job}, "Items": [{"index": 0, "item": {"key": "a.jpg"}}]}
    assert start("bulk", event, **variables)["answer"]["errorType"] == "BatchUnfinished"
