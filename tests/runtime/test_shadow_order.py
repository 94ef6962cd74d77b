"""When samples of a shadow test are sent: between a response and the next event, in the real runtime client.

Lambda's Runtime API is a server of this test; the runtime emulator would hold the response back until the next event is
asked for.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "models" / "hair-type" / "golden" / "curly-1.jpg"
REQUEST_ID = "8f4e2c1a-0000-4000-8000-000000000000"
TRACE = "Root=1-67891233-abcdef012345678912345678;Sampled=0"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:loupe-test-shadow:live"


class Lambda(ThreadingHTTPServer):
    """Runtime API (Lambda developer guide, 'Using the Lambda runtime API') and Invoke, with the order of all calls."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[str] = []
        self.answer: Any = None
        self.trace = ""
        self.asked_again = threading.Event()
        self.ended = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Lambda

    def do_GET(self) -> None:
        self.server.calls.append("next")
        if self.server.calls.count("next") > 1:
            self.server.asked_again.set()
            self.server.ended.wait(60)
            return
        event = json.dumps({"image": base64.b64encode(IMAGE.read_bytes()).decode()}).encode()
        deadline = str(int((time.time() + 20) * 1000))
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": REQUEST_ID,
            "Lambda-Runtime-Deadline-Ms": deadline,
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:loupe-test",
            "Lambda-Runtime-Trace-Id": TRACE,
        }
        self._send(200, event, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/response"):
            self.server.calls.append("response")
            self.server.answer = json.loads(body)
        elif self.path.startswith("/2015-03-31/functions/"):
            self.server.calls.append(f"invoke {self.headers['X-Amz-Invocation-Type']}")
            self.server.trace = self.headers["X-Amzn-Trace-Id"]
        else:
            self.server.calls.append(self.path)
        self._send(202, b"{}", {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def aws() -> Iterator[Lambda]:
    with Lambda() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


def test_a_sample_is_sent_after_the_response_and_before_the_next_event(aws: Lambda) -> None:
    endpoint = f"127.0.0.1:{aws.server_port}"
    variables = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": endpoint,
        "AWS_LAMBDA_FUNCTION_NAME": "loupe-test",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://{endpoint}",
        "LAMBDA_TASK_ROOT": str(ROOT / "function"),
        "PYTHONPATH": str(ROOT / "function"),
        "LOUPE_SHADOW_FUNCTION_ARN": ARN,
        "LOUPE_SHADOW_CHALLENGER": "challenger",
        "LOUPE_SHADOW_SHARE": "1.0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "awslambdaric", "handler.handler"], cwd=ROOT / "function", env=variables
    )
    try:
        assert aws.asked_again.wait(30), aws.calls
    finally:
        process.kill()
        process.wait()
    assert aws.calls == ["next", "response", "invoke Event", "next"]
    assert aws.answer["label"] == "curly"
    assert aws.trace == TRACE
