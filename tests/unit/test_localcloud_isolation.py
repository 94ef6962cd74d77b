"""Environment variables of the user's shell that would redirect a local run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from localcloud import isolation
from localcloud.aws import Account
from localcloud.deploy import Deployer
from localcloud.state import PROJECT, State

HOSTILE = {
    "AWS_PROFILE": "none", "AWS_DEFAULT_PROFILE": "none", "AWS_CONFIG_FILE": "/none", "AWS_CA_BUNDLE": "/none",
    "AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_DEFAULTS_MODE": "none", "AWS_MAX_ATTEMPTS": "x", "AWS_RETRY_MODE": "none", "AWS_REGION": "eu-west-1",
    "AWS_ENDPOINT_URL": "http://192.0.2.1", "AWS_ENDPOINT_URL_S3": "http://192.0.2.1", "AWS_SESSION_TOKEN": "theirs",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "none", "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "x",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
    "HTTP_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
    "all_proxy": "socks5://127.0.0.1:9", "CDK_DEFAULT_ACCOUNT": "111122223333", "CDK_CONTEXT_JSON": "{",
    "CDK_OUTDIR": "/none", "CDK_DOCKER": "none", "DOCKER_HOST": "tcp://192.0.2.1", "NODE_OPTIONS": "--none",
    "PYTHONPATH": "/none", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "error", "VIRTUAL_ENV": "/none",
    "GATEWAY_PORT": "1", "PERSIST_STATE": "1", "MINISTACK_REGION": "eu-west-1",
}  # fmt: skip
SERVICES = ("s3", "sts", "lambda", "apigateway", "cloudformation", "logs", "cloudwatch", "ecr")


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("service", SERVICES)
def test_clients_use_the_local_account_despite_environment_variables(service: str) -> None:
    client = Account("http://127.0.0.1:9", "us-east-1").client(service)
    assert client.meta.endpoint_url == "http://127.0.0.1:9"
    assert client.meta.region_name == "us-east-1"
    assert not client.meta.config.proxies


@pytest.mark.usefixtures("hostile")
def test_programs_get_no_credentials_of_other_accounts() -> None:
    variables = Account("http://127.0.0.1:9", "us-east-1").environment()
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
    left = {name for name, value in HOSTILE.items() if variables.get(name) == value}
    assert not left


def test_variables_that_a_run_needs_remain() -> None:
    harmless = {"PATH": "/bin", "HOME": "/root", "SSL_CERT_FILE": "/ca.pem", "LOUPE_MODEL": "mine", "TMPDIR": "/tmp",
            "NODE_EXTRA_CA_CERTS": "/ca.pem", "LANG": "C", "PIP_INDEX_URL": "https://pypi.example"}  # fmt: skip
    assert isolation.isolated_variables(harmless) == harmless


@pytest.mark.usefixtures("hostile")
def test_the_command_line_removes_them_from_its_own_process() -> None:
    isolation.clear_environment()
    assert not HOSTILE.keys() & os.environ.keys()


def test_the_cdks_library_is_unpacked_below_the_project_where_no_home_can_be_written(tmp_path: Path) -> None:
    deployer = Deployer(State(tmp_path), Account("http://127.0.0.1:9", "us-east-1"))
    variables = deployer.environment()
    assert Path(variables["JSII_RUNTIME_PACKAGE_CACHE_ROOT"]).is_relative_to(PROJECT / ".local")


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.usefixtures("hostile")
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_requests_to_this_machine_bypass_the_proxy() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with isolation.opener.open(f"http://127.0.0.1:{server.server_port}/", timeout=5) as answer:
            assert answer.read() == b"ok"
        server.shutdown()
        thread.join()


def test_the_command_line_starts_despite_foreign_environment_variables() -> None:
    variables = {**os.environ, **HOSTILE}
    del variables["PYTHONPATH"], variables["PYTHONWARNINGS"]
    done = subprocess.run(
        [sys.executable, "-m", "localcloud", "status", "--state", "/nonexistent/loupe"],
        cwd=PROJECT, env=variables, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "not up" in done.stdout, done.stderr
