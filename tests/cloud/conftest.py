"""One local cloud for the whole suite: MiniStack, the fleet and the deployed stack, in a folder and on ports of its own."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from localcloud import cloud
from localcloud.aws import Account
from localcloud.cloud import Steps
from localcloud.deploy import Deployer
from localcloud.errors import CloudError
from localcloud.models import Golden, golden
from localcloud.processes import wait_until
from localcloud.state import State, runtime_emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MODEL = "hair-type"
# Of the local environment's own network: the only private one from which it may fetch pictures.
PICTURE_HOST = "127.0.0.53"
RESERVED_CONCURRENCY = 6
QUIETLY = Steps(lambda _what, _seconds: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Whatever else uses the cloud comes before its end.
    items.sort(key=lambda item: item.path.name == "test_destroy.py")


@dataclass(frozen=True)
class Response:
    """An HTTP response, its header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Deployed:
    """The deployed stack, and how to reach it."""

    state: State
    account: Account
    endpoint: Mapping[str, Any]
    settings: Mapping[str, Any]

    def call(self, path: str, body: bytes | None = None, content_type: str = "", key: bool = True) -> Response:
        """Call a route; a body makes it a POST."""
        headers = {"Content-Type": content_type} if content_type else {}
        if key:
            headers["x-api-key"] = self.endpoint["api_key"]
        request = urllib.request.Request(f"{self.endpoint['url']}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return _response(answer)
        except urllib.error.HTTPError as error:
            return _response(error)

    def classify(self, body: bytes, content_type: str = "image/jpeg", key: bool = True) -> Response:
        """Classify, and once more for as long as the usage plan has no token left for it."""
        answers = [self.call("/v1/classify", body, content_type, key)]
        wait_until(lambda: _admitted(answers, lambda: self.call("/v1/classify", body, content_type, key)), 30, 0.2)
        return answers[-1]

    def client(self, service: str) -> Any:
        return self.account.client(service)

    @property
    def outputs(self) -> Mapping[str, str]:
        outputs: Mapping[str, str] = self.endpoint["outputs"]
        return outputs

    @property
    def deployer(self) -> Deployer:
        return Deployer(self.state, self.account)

    def environments(self) -> int:
        """How many execution environments the fleet has."""
        functions = cloud.status(self.state)["fleet"]["functions"]
        return sum(pool["busy"] + pool["idle"] for pool in functions.values())


def _admitted(answers: list[Response], again: Callable[[], Response]) -> bool:
    if answers[-1].status != 429:
        return True
    answers.append(again())
    return answers[-1].status != 429


def _response(answer: Any) -> Response:
    return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())


def until(condition: Callable[[], Any], seconds: float) -> None:
    """Wait for a condition; fail if it does not come about."""
    assert wait_until(lambda: bool(condition()), seconds, 0.1), "the condition did not come about in time"


@pytest.fixture(scope="session")
def picture_port() -> int:
    with socket.socket() as probe:
        probe.bind((PICTURE_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def deployed(picture_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    settings = {
        "function": {"reserved_concurrency": RESERVED_CONCURRENCY},
        "inputs": {"url": {"ports": [80, 443, picture_port]}},
        "api": {"usage_plan": {"rate_limit": 20, "burst_limit": 40}},
        "alarms": {"period_seconds": 10, "evaluation_periods": 1},
    }
    try:
        runtime_emulator()
    except CloudError as error:
        pytest.skip(str(error))
    state = State(tmp_path_factory.mktemp("cloud"))
    try:
        endpoint = cloud.up(state, 0, settings, QUIETLY)
        account = Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"])
        yield Deployed(state, account, endpoint, settings)
    finally:
        cloud.down(state)


@pytest.fixture(scope="session")
def pictures() -> list[Golden]:
    return golden(MODEL)


class _Pictures(BaseHTTPRequestHandler):
    files: Mapping[str, bytes] = {}

    def do_GET(self) -> None:
        found = self.files.get(self.path)
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        self.wfile.write(found or b"")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def picture_site(picture_port: int, pictures: list[Golden]) -> Iterator[str]:
    """A web site with the golden pictures; gives its address."""
    _Pictures.files = {f"/{picture.path.name}": picture.path.read_bytes() for picture in pictures}
    with ThreadingHTTPServer((PICTURE_HOST, picture_port), _Pictures) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://{PICTURE_HOST}:{picture_port}"
        server.shutdown()
        thread.join()
