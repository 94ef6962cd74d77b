"""Subsegments of sampled traces: what X-Ray takes, bounded, and never an error to a caller."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import segments
from documents import IssuerError
from events import Context, base64_of, json_body, rest
from fakes import make_app
from images import RED, jpeg, solid
from jobs_calls import Jobs
from loupe import tracing
from loupe.bulk.invocation import BulkLog, Invocations

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
ROOT = Path(__file__).resolve().parents[2]
TRACE_ID, PARENT = "1-581cf771-a006649127e371903a2de979", "53995c3f42cd8ad8"
SAMPLED = f"Root={TRACE_ID};Parent={PARENT};Sampled=1"
IMAGE = base64_of(jpeg(solid(RED)))


class Daemon:
    """A UDP socket in place of the X-Ray daemon."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self.port: int = receiver.getsockname()[1]

    def received(self) -> list[bytes]:
        """Everything that was sent: on the loopback interface a datagram has arrived when its sending returns."""
        datagrams = []
        self._receiver.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                datagrams.append(self._receiver.recv(65_536))
        return datagrams

    def document(self) -> dict[str, Any]:
        (datagram,) = self.received()
        header, _, body = datagram.partition(b"\n")
        assert json.loads(header) == {"format": "json", "version": 1}
        document: dict[str, Any] = json.loads(body)
        return document


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        daemon = Daemon(receiver)
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"127.0.0.1:{daemon.port}")
        monkeypatch.setenv("_X_AMZN_TRACE_ID", SAMPLED)
        yield daemon


def assert_valid(document: dict[str, Any]) -> None:
    """X-Ray developer guide, 'X-Ray segment documents': required fields, their form, and limits."""
    assert (document["trace_id"], document["parent_id"], document["type"]) == (TRACE_ID, PARENT, "subsegment")
    assert re.fullmatch(r"[0-9a-f]{16}", document["id"])
    assert re.fullmatch(r"[\w\s.:/%&#=+\-@]{1,200}", document["name"])
    assert document["start_time"] <= document["end_time"] <= time.time()
    assert len(document["annotations"]) <= 50
    for key, value in document["annotations"].items():
        assert re.fullmatch(r"\w{1,500}", key)
        assert isinstance(value, str | int | float | bool)
        assert len(str(value)) <= 1000


def test_a_sampled_request_has_its_model_and_code_as_annotations(daemon: Daemon, classifier: Any) -> None:
    make_app(classifier).http(rest(**json_body({"image": IMAGE})), Context())
    document = daemon.document()
    assert_valid(document)
    assert document["name"] == "classify"
    assert document["annotations"] == {
        "route": "classify", "model": classifier.info.name, "model_version": classifier.info.version,
        "variant": classifier.info.variant, "code": "ok", "cold_start": True, "cache": "off",
    }  # fmt: skip
    assert {"decode", "tensor", "model"} <= document["metadata"]["loupe"]["stages_ms"].keys()
    assert not document.keys() & {"error", "fault", "throttle"}


def test_a_rejected_request_is_an_error_with_its_code(daemon: Daemon, classifier: Any) -> None:
    make_app(classifier).http(rest(**json_body({"image": base64_of(b"no image")})), Context())
    document = daemon.document()
    assert_valid(document)
    assert (document["annotations"]["code"], document["error"]) == ("unsupported_media_type", True)


def test_a_batch_counts_its_items(daemon: Daemon, classifier: Any) -> None:
    items = [{"image": IMAGE}, {"image": base64_of(b"no image")}]
    make_app(classifier).direct({"items": items}, Context())
    annotations = daemon.document()["annotations"]
    assert (annotations["route"], annotations["items"], annotations["failed_items"]) == ("batch", 2, 1)


@pytest.mark.parametrize(
    ("status", "flags"),
    [
        (200, {}),
        (400, {"error": True}),
        (404, {"error": True}),
        (429, {"error": True, "throttle": True}),
        (500, {"fault": True}),
        (503, {"fault": True}),
    ],
)
def test_the_status_sets_xrays_flags(daemon: Daemon, status: int, flags: dict[str, bool]) -> None:
    tracing.record("classify", 12.0, {"code": "x"}, status=status)
    document = daemon.document()
    assert {key: document[key] for key in ("error", "fault", "throttle") if key in document} == flags
    assert document["end_time"] - document["start_time"] == pytest.approx(0.012, abs=1e-3)


@pytest.mark.parametrize(
    "trace",
    [
        "", "Sampled=1", f"Root={TRACE_ID};Sampled=1", f"Root={TRACE_ID}x;Parent={PARENT};Sampled=1",
        f"Root={TRACE_ID};Parent=zz;Sampled=1", f"Root={TRACE_ID.upper()};Parent={PARENT};Sampled=1", "x" * 100_000,
    ],
)  # fmt: skip
def test_nothing_is_sent_without_a_whole_trace_header(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    tracing.record("classify", 1.0, {})
    segments._record(0.0, 1.0, "ok", "")
    assert daemon.received() == []


def test_further_fields_of_the_header_do_not_matter(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Self=1-2-3;{SAMPLED};Lineage=1:2ab7c8de:0")
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"tcp:127.0.0.1:9 udp:127.0.0.1:{daemon.port}")
    tracing.record("classify", 1.0, {})
    assert_valid(daemon.document())


@pytest.mark.parametrize("address", ["", "localhost:2000", "xray.example.com:2000", "127.0.0.1", "127.0.0.1:99999"])
def test_without_a_usable_daemon_nothing_is_raised_or_looked_up(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, classifier: Any, address: str
) -> None:
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", address)
    answer = make_app(classifier).http(rest(**json_body({"image": IMAGE})), Context())
    assert answer["statusCode"] == 200
    segments._record(0.0, 1.0, "ok", "")
    assert daemon.received() == []


def test_a_socket_that_fails_costs_the_subsegment_only(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, classifier: Any
) -> None:
    def fail(*_: Any) -> Any:
        raise OSError("Too many open files")

    monkeypatch.setattr(tracing.socket, "socket", fail)
    assert make_app(classifier).http(rest(**json_body({"image": IMAGE})), Context())["statusCode"] == 200
    segments._record(0.0, 1.0, "ok", "")


def test_a_document_is_bounded(daemon: Daemon) -> None:
    tracing.record("classify", 1.0, {"arm": "ä" * 100_000})
    (datagram,) = daemon.received()
    assert len(datagram) <= tracing.MAX_BYTES
    tracing.record("classify", 1.0, {}, stages={f"stage{number}": 1.0 for number in range(10_000)})
    assert daemon.received() == []


def test_a_batch_of_a_job_is_annotated_with_its_counts(daemon: Daemon) -> None:
    result = {"rows": 5, "failed": 1, "skipped": 0, "model": {"name": "m", "version": "1", "variant": "v"}}
    assert tracing.traced_batch(lambda: result) == result
    document = daemon.document()
    assert_valid(document)
    assert document["annotations"] == {
        "code": "ok", "model": "m", "model_version": "1", "variant": "v", "rows": 5, "failed": 1, "skipped": 0,
    }  # fmt: skip


def test_a_batch_that_fails_is_a_fault_and_still_raises(daemon: Daemon) -> None:
    class BatchUnfinished(Exception):  # noqa: N818
        pass

    def fail() -> dict[str, Any]:
        raise BatchUnfinished("items are left")

    with pytest.raises(BatchUnfinished):
        tracing.traced_batch(fail)
    document = daemon.document()
    assert (document["annotations"], document["fault"]) == ({"code": "BatchUnfinished"}, True)


def test_the_jobs_function_annotates_its_routes(daemon: Daemon) -> None:
    jobs = Jobs()
    assert jobs.call("GET", "/v1/jobs")["statusCode"] == 200
    listed = daemon.document()
    assert_valid(listed)
    assert (listed["name"], listed["annotations"]) == ("listJobs", {"route": "listJobs", "code": "ok"})
    assert jobs.call("GET", "/v1/jobs/none")["statusCode"] == 404
    missing = daemon.document()
    assert (missing["annotations"]["code"], missing["error"]) == ("job_not_found", True)


def test_the_bulk_function_annotates_what_it_runs(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    class Batches:
        def run(self, *_: Any) -> dict[str, Any]:
            return {"rows": 2, "failed": 0, "skipped": 0}

    invocations = Invocations(Batches(), None, BulkLog("test"), 0.0)  # type: ignore[arg-type]
    event = {"Items": [], "BatchInput": {}}
    assert invocations.run(event, Context())["rows"] == 2
    assert daemon.document()["annotations"] == {"code": "ok", "rows": 2, "failed": 0, "skipped": 0}
    with pytest.raises(ValueError, match="neither a batch"):
        invocations.run({}, Context())
    assert daemon.document()["annotations"] == {"code": "ValueError"}
    monkeypatch.delenv("_X_AMZN_TRACE_ID")
    assert invocations.run(event, Context())["rows"] == 2
    assert daemon.received() == []


def _policy(effect: str) -> dict[str, Any]:
    return {"policyDocument": {"Statement": [{"Effect": effect}]}}


class UnauthorizedError(Exception):
    """As `authorize.UnauthorizedError`, which the authorizer's variables would be needed for."""


@pytest.mark.parametrize(
    ("outcome", "code", "flag"),
    [
        (_policy("Allow"), "ok", None),
        (_policy("Deny"), "forbidden", "error"),
        (UnauthorizedError("Unauthorized"), "unauthorized", "error"),
        (IssuerError("down"), "issuer_unavailable", "fault"),
        (KeyError("methodArn"), "internal_error", "fault"),
    ],
)
def test_the_authorizer_is_annotated_with_its_outcome(
    daemon: Daemon, outcome: Any, code: str, flag: str | None
) -> None:
    def authorize(_: Any) -> dict[str, Any]:
        if isinstance(outcome, Exception):
            raise outcome
        answer: dict[str, Any] = outcome
        return answer

    if isinstance(outcome, Exception):
        with pytest.raises(type(outcome)):
            segments.traced(authorize, {"authorizationToken": "Bearer secret"})
    else:
        assert segments.traced(authorize, {}) == outcome
    (datagram,) = daemon.received()
    assert b"secret" not in datagram
    document = json.loads(datagram.partition(b"\n")[2])
    assert_valid(document)
    assert (document["name"], document["annotations"]) == ("authorize", {"code": code})
    assert {key for key in ("error", "fault") if key in document} == ({flag} if flag else set())


@pytest.mark.parametrize(
    ("trace", "loaded"), [("", False), (SAMPLED.replace("Sampled=1", "Sampled=0"), False), (SAMPLED, True)]
)
def test_the_module_is_imported_for_sampled_requests_only(trace: str, loaded: bool, tiny_directory: Path) -> None:
    code = (
        "import json, sys, types, handler\n"
        "handler.handler({'image': sys.argv[1]}, types.SimpleNamespace(aws_request_id='r'))\n"
        "print(json.dumps('loupe.tracing' in sys.modules))"
    )
    variables = {
        "LOUPE_MODELS_DIR": str(tiny_directory.parent), "LOUPE_MODEL": tiny_directory.name,
        "PYTHONPATH": str(ROOT / "function"), "_X_AMZN_TRACE_ID": trace,
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", code, IMAGE], env=variables, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(run.stdout.splitlines()[-1]) is loaded
