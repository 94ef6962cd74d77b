"""Invocations that MiniStack forwards to the fleet, and the results in MiniStack's form."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.ministack import lambda_invoke
from localcloud.ministack.lambda_invoke import execute, weighted

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
    """Returns one prepared response to every invocation, and records the last request."""

    response: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
    request: Any = None


class Handler(BaseHTTPRequestHandler):
    server: Fleet

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.request = (self.path, dict(self.headers), body)
        status, headers, payload = self.server.response
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
    path, headers, body = fleet.request
    assert path == "/2015-03-31/functions/loupe-local/invocations?Qualifier=3"
    assert headers["X-Loupe-Function-Arn"].endswith(":live")
    assert headers["X-Loupe-Revision"] == "r1"
    assert json.loads(body) == {"picture": "ä"}


def test_a_function_error_keeps_its_kind(fleet: Fleet) -> None:
    fleet.response = (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorType": "ValueError"}')
    assert call(fleet) == {"error": True, "function_error": "Unhandled", "body": {"errorType": "ValueError"}}


def test_a_throttled_invocation_is_marked(fleet: Fleet) -> None:
    fleet.response = (429, {}, b'{"__type": "TooManyRequestsException"}')
    assert call(fleet) == {"error": True, "throttle": True, "body": {"__type": "TooManyRequestsException"}}


def test_a_payload_above_the_limit_keeps_its_status(fleet: Fleet) -> None:
    fleet.response = (413, {}, b"{}")
    assert call(fleet)["http_status"] == 413


def test_an_unreachable_fleet_is_a_service_exception() -> None:
    result = execute("http://127.0.0.1:9", FUNCTION, {})
    assert result["error"]
    assert result["body"]["errorType"] == "ServiceException"


def test_the_end_of_the_log_is_passed_on(fleet: Fleet) -> None:
    fleet.response = (200, {"X-Amz-Log-Result": base64.b64encode(b"REPORT").decode()}, b"{}")
    assert execute(f"http://127.0.0.1:{fleet.server_port}", FUNCTION, {}) == {"body": {}, "log": "REPORT"}


def test_an_alias_with_weights_routes_so_large_a_share_to_the_other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    alias = {"FunctionVersion": "3", "RoutingConfig": {"AdditionalVersionWeights": {"4": 0.25}}}
    versions = {"4": {"config": {"FunctionName": "loupe-local", "Version": "4", "FunctionArn": "of the version"}}}
    functions = {"loupe-local": {"aliases": {"live": alias}, "versions": versions}}
    monkeypatch.setattr(lambda_invoke, "original", lambda _module, _name: functions)
    config = FUNCTION["config"]
    chosen = [weighted(config) for _ in range(2000)]
    share = sum(item["Version"] == "4" for item in chosen) / len(chosen)
    assert 0.2 < share < 0.3
    assert {item["FunctionArn"] for item in chosen} == {config["FunctionArn"]}, "metrics keep the alias"
    by_number = {**config, "FunctionArn": config["FunctionArn"].replace(":live", ":3")}
    assert weighted(by_number) == by_number
    del alias["RoutingConfig"]
    assert weighted(config) == config
