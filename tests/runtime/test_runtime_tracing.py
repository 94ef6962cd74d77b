"""A sampled trace in the Lambda runtime: a real datagram leaves the function."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Start

    from localcloud.models import Golden
    from localcloud.stage import Image

TRACE_ID, PARENT = "1-581cf771-a006649127e371903a2de979", "53995c3f42cd8ad8"


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """A UDP socket in place of the X-Ray daemon, which the emulator does not have."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


def _received(daemon: socket.socket) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(daemon.recv(65_536).partition(b"\n")[2])
    return document


@pytest.fixture
def traced(image: Image, tmp_path: Path) -> Path:
    """The staged function behind a handler that sets the trace of each event, as the runtime client does on Lambda.

    The emulator does not pass the tracing header of an invocation on.
    """
    (tmp_path / "traced.py").write_text(
        f"import os, sys\n"
        f"sys.path.insert(0, {str(image.folder)!r})\n"
        f"import handler as function\n\n\n"
        f"def handler(event, context):\n"
        f"    os.environ['_X_AMZN_TRACE_ID'] = event.pop('trace')\n"
        f"    return function.handler(event, context)\n"
    )
    return tmp_path


def _event(case: Golden | None, sampled: int) -> bytes:
    data = b"" if case is None else case.path.read_bytes()
    trace = f"Root={TRACE_ID};Parent={PARENT};Sampled={sampled}"
    return json.dumps({"image": base64.b64encode(data).decode(), "trace": trace}).encode()


def test_sampled_requests_are_annotated_and_others_send_nothing(
    start: Start, traced: Path, daemon: socket.socket, golden_cases: list[Golden]
) -> None:
    variables = {"AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}"}
    environment = start(traced, variables=variables, command="traced.handler")
    for sampled in (0, 1):
        outcome = environment.invoke(_event(golden_cases[0], sampled), f"request-{sampled}")
        assert json.loads(outcome.payload)["label"] == golden_cases[0].label
    document = _received(daemon)
    # The second request's, so nothing came of the first.
    assert document["annotations"]["cold_start"] is False
    assert (document["name"], document["trace_id"], document["parent_id"]) == ("classify", TRACE_ID, PARENT)
    assert document["annotations"]["model"] == "hair-type"
    assert document["annotations"]["code"] == "ok"
    rejected = environment.invoke(_event(None, 1), "request-2")
    assert "error" in json.loads(rejected.payload)
    assert _received(daemon)["error"] is True


def test_a_daemon_that_is_gone_does_not_matter(
    start: Start, traced: Path, daemon: socket.socket, golden_cases: list[Golden]
) -> None:
    port = daemon.getsockname()[1]
    daemon.close()
    environment = start(traced, variables={"AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{port}"}, command="traced.handler")
    for number in range(3):
        outcome = environment.invoke(_event(golden_cases[0], 1), f"request-{number}")
        assert json.loads(outcome.payload)["label"] == golden_cases[0].label
