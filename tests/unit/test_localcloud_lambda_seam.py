"""Lambda's answers, as MiniStack's callers get them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.lambda_seam import execute
from localcloud.seam import Replacement

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
FUNCTION = {
    "config": {
        "FunctionName": "loupe-local",
        "Version": "3",
        "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:loupe-local:live",
        "RevisionId": "r1",
    }
}


class Fleet(ThreadingHTTPServer):
    """Answers every invocation with one prepared answer, and remembers the last request."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
    seen: Any = None


class Handler(BaseHTTPRequestHandler):
    server: Fleet

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen = (self.path, dict(self.headers), body)
        status, headers, payload = self.server.answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(payload))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def call(fleet: Fleet, event: Any = None) -> dict[str, Any]:
    return execute(f"http://127.0.0.1:{fleet.server_port}", FUNCTION, event or {})


def test_the_request_names_version_alias_and_revision(fleet: Fleet) -> None:
    assert call(fleet, {"picture": "ä"}) == {"body": {}}
    path, headers, body = fleet.seen
    assert path == "/2015-03-31/functions/loupe-local/invocations?Qualifier=3"
    assert headers["X-Loupe-Function-Arn"].endswith(":live")
    assert headers["X-Loupe-Revision"] == "r1"
    assert json.loads(body) == {"picture": "ä"}


def test_a_function_error_is_one(fleet: Fleet) -> None:
    fleet.answer = (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorType": "ValueError"}')
    assert call(fleet) == {"error": True, "function_error": "Unhandled", "body": {"errorType": "ValueError"}}


def test_a_throttle_is_one(fleet: Fleet) -> None:
    fleet.answer = (429, {}, b'{"__type": "TooManyRequestsException"}')
    assert call(fleet) == {"error": True, "throttle": True, "body": {"__type": "TooManyRequestsException"}}


def test_too_large_a_payload_keeps_its_status(fleet: Fleet) -> None:
    fleet.answer = (413, {}, b"{}")
    assert call(fleet)["http_status"] == 413


def test_a_fleet_that_is_gone_is_told() -> None:
    answer = execute("http://127.0.0.1:9", FUNCTION, {})
    assert answer["error"]
    assert answer["body"]["errorType"] == "ServiceException"


def test_a_ministack_without_the_function_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"no json\.nothing"):
        Replacement("json", "nothing", lambda before: before).install()
