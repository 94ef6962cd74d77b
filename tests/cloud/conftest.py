"""One local cloud for the whole suite: MiniStack, the fleet and the deployed stack, on free ports."""

from __future__ import annotations

import functools
import http.server
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import warm_app
from cryptography.hazmat.primitives.asymmetric import rsa
from deployment import (
    IMAGE_BUCKET,
    IMAGE_PREFIX,
    MAX_BATCH,
    ORIGIN,
    RESERVED_CONCURRENCY,
    Deployed,
    deployed_stack,
    own_cloud,
)

from localcloud.deploy import Deployer
from localcloud.models import Golden, golden

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from localcloud.commands import Command

MODEL = "hair-type"
RUN_CDK = Deployer._cdk
# Of the local environment's own network: the only private one from which it may fetch images.
IMAGE_HOST = "127.0.0.53"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Whatever else uses the cloud comes before its end.
    items.sort(key=lambda item: item.path.name == "test_destroy.py")


@pytest.fixture(scope="session", autouse=True)
def app_in_one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every synth runs the CDK app in one process; `test_warm_app` compares its output with the app of cdk.json."""
    with warm_app.serve(tmp_path_factory.mktemp("app")) as command, pytest.MonkeyPatch.context() as patch:

        def run(self: Deployer, name: str, arguments: list[str], cwd: Path, failure: str) -> Command:
            app = ["--app", command] if name == "synth" else []
            return RUN_CDK(self, name, [*arguments, *app], cwd, failure)

        patch.setattr(Deployer, "_cdk", run)
        yield


@pytest.fixture
def app_of_cdk_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Synths run the app as a user's do, in a process each."""
    monkeypatch.setattr(Deployer, "_cdk", RUN_CDK)


@pytest.fixture(scope="session")
def image_port() -> int:
    with socket.socket() as probe:
        probe.bind((IMAGE_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def deployed(image_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    settings = {
        "function": {"reserved_concurrency": RESERVED_CONCURRENCY},
        "inputs": {
            "url": {"ports": [80, 443, image_port]},
            "s3": {"locations": [f"{IMAGE_BUCKET}/{IMAGE_PREFIX}"]},
            "max_batch": MAX_BATCH,
        },
        "api": {
            "cors_origins": [ORIGIN],
            "rate_limit": 5000,
            "burst_limit": 5000,
        },
        # Tests that want a throttled client lower its rate by `Deployed.plan`.
        "auth": {"clients": {"default": {"rate": 1000, "burst": 2000}}},
        "alarms": {"period_seconds": 10, "evaluation_periods": 1},
        "protection": {"kms_key": "customer"},
    }
    with own_cloud(tmp_path_factory.mktemp("cloud")) as state:
        yield deployed_stack(state, settings)


@pytest.fixture(scope="session")
def golden_cases() -> list[Golden]:
    return golden(MODEL)


class _ImageHandler(BaseHTTPRequestHandler):
    files: Mapping[str, bytes] = {}

    def do_GET(self) -> None:
        content = self.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def image_site(image_port: int, golden_cases: list[Golden]) -> Iterator[str]:
    """A web site with the golden images; gives its address."""
    _ImageHandler.files = {f"/{case.path.name}": case.path.read_bytes() for case in golden_cases}
    with ThreadingHTTPServer((IMAGE_HOST, image_port), _ImageHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://{IMAGE_HOST}:{image_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def issuer(tmp_path: Any) -> Iterator[tuple[str, rsa.RSAPrivateKey]]:
    """An OpenID issuer on this machine: its address and key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public_key = {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "one", "use": "sig"}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=tmp_path)) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        (tmp_path / ".well-known").mkdir()
        (tmp_path / ".well-known/openid-configuration").write_text(
            json.dumps({"issuer": url, "jwks_uri": f"{url}/keys"})
        )
        (tmp_path / "keys").write_text(json.dumps({"keys": [public_key]}))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield url, key
        server.shutdown()
        thread.join()
