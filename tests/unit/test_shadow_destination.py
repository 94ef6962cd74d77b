"""Requests to Lambda and S3: signed as botocore signs them, within a deadline, with Lambda's answers as reasons."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore import auth, awsrequest, credentials
from loupe.classifier import Classifier
from loupe.shadow.champion import Champion
from loupe.shadow.destination import AwsDestination
from loupe.shadow.sender import NotSent
from loupe.shadow.settings import ShadowSettings
from loupe.shadow.signing import Credentials, Scope, signed_headers
from loupe.sources.connection import Deadline
from test_shadow_champion import IMAGE, VARIABLES, Invocation

ROLE = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtn/EXAMPLE", "AWS_SESSION_TOKEN": "to/ken"}
ARN_URL = "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1/invocations"
AT = 1_700_000_000.0


@pytest.mark.parametrize("token", ["", "to/ken=="])
@pytest.mark.parametrize(
    ("service", "method", "url", "signer"),
    [
        ("lambda", "POST", ARN_URL, auth.SigV4Auth),
        ("s3", "PUT", "https://samples.s3.eu-west-1.amazonaws.com/shadow/00ff", auth.S3SigV4Auth),
        ("s3", "PUT", "http://127.0.0.1:4566/samples/shadow/00ff", auth.S3SigV4Auth),
    ],
)
def test_a_request_is_signed_as_botocore_signs_it(
    service: str, method: str, url: str, signer: Any, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime.fromtimestamp(AT, UTC)
    monkeypatch.setattr(auth, "get_current_datetime", lambda **_: moment)
    headers, body = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "Event"}, b'{"image": "\xc3\xa4"}'
    request = awsrequest.AWSRequest(method, url, dict(headers), body)
    request.context["payload_signing_enabled"] = True
    signer(credentials.Credentials("AKID", "secret", token or None), service, "eu-west-1").add_auth(request)
    own = signed_headers(
        method, url, body, headers, Credentials("AKID", "secret", token), Scope(service, "eu-west-1"), AT
    )
    assert own["authorization"] == request.headers["Authorization"]
    assert own["x-amz-date"] == "20231114T221320Z"
    assert own.get("x-amz-security-token", "") == token


class Aws(ThreadingHTTPServer):
    """Answers with ``status`` once ``released``, and records requests."""

    status = 202

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.released = threading.Event()
        self.released.set()
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Aws

    def do_PUT(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        assert self.server.released.wait(20)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def aws() -> Iterator[Aws]:
    with Aws() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def destination(port: int, **variables: str) -> AwsDestination:
    settings = ShadowSettings.from_environment({**VARIABLES, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    return AwsDestination(settings, {**ROLE, **variables})


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_an_event_is_an_asynchronous_invocation_of_the_alias(aws: Aws) -> None:
    trace = "Root=1-67891233-abcdef012345678912345678;Sampled=0"
    destination(aws.server_port, _X_AMZN_TRACE_ID=trace).invoke(b"{}", Deadline(5))
    ((method, path, headers, body),) = aws.requests
    arn = "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aloupe-test-shadow%3Alive"
    assert (method, path, body) == ("POST", f"/2015-03-31/functions/{arn}/invocations", b"{}")
    lowered = {name.lower(): value for name, value in headers.items()}
    assert lowered["x-amz-invocation-type"] == "Event"
    assert lowered["x-amzn-trace-id"] == trace
    assert "x-amzn-trace-id" not in lowered["authorization"]
    assert lowered["host"] == f"127.0.0.1:{aws.server_port}"


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_an_image_is_put_into_the_bucket(aws: Aws) -> None:
    aws.status = 200
    destination(aws.server_port).store("shadow/00ff", b"image", Deadline(5))
    ((method, path, _, body),) = aws.requests
    assert (method, path, body) == ("PUT", "/samples/shadow/00ff", b"image")


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (429, "throttled"),
        (503, "throttled"),
        (403, "rejected"),
        (404, "rejected"),
        (413, "rejected"),
        (200, "rejected"),
    ],
)
def test_another_status_than_202_is_not_sent(aws: Aws, status: int, reason: str) -> None:
    aws.status = status
    with pytest.raises(NotSent) as failure:
        destination(aws.server_port).invoke(b"{}", Deadline(5))
    assert failure.value.reason == reason


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_slow_endpoint_ends_at_the_deadline(aws: Aws) -> None:
    aws.released.clear()
    started = time.monotonic()
    try:
        with pytest.raises(NotSent, match="unreachable"):
            destination(aws.server_port).invoke(b"{}", Deadline(0.2))
        assert time.monotonic() - started < 0.6
    finally:
        aws.released.set()


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_an_endpoint_that_does_not_respond_is_unreachable() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    with pytest.raises(NotSent, match="unreachable"):
        destination(port).invoke(b"{}", Deadline(1))


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_each_sample_is_signed_with_the_credentials_of_its_time(aws: Aws, classifier: Classifier) -> None:
    variables = {**VARIABLES, **ROLE, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{aws.server_port}"}
    champion = Champion.from_environment(variables, "test", "tiny")
    sampled = champion.sampled(classifier)
    for key in ("AKIDFIRST", "AKIDRENEWED"):
        variables["AWS_ACCESS_KEY_ID"] = key
        champion.handle(lambda *_: {"label": sampled.classify(IMAGE).label}, {}, Invocation())
    signed = [{name.lower(): value for name, value in headers.items()} for _, _, headers, _ in aws.requests]
    keys = [headers["authorization"].partition("Credential=")[2].partition("/")[0] for headers in signed]
    assert keys == ["AKIDFIRST", "AKIDRENEWED"]
