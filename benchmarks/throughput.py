"""Images per second on all cores: the runtime emulators (no gateway) against three HTTP servers with the same model."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks import subjects
from benchmarks.cold import all_subjects
from benchmarks.timing import PartResult, Row, median
from benchmarks.workload import photo
from localcloud.environment import ExecutionEnvironment
from localcloud.ports import free_port

CLIENTS = 4
START_SECONDS = 90.0
REQUIREMENTS = subjects.ROOT / "benchmarks" / "requirements.txt"


class PeersMissingError(Exception):
    """The peers' environment could not be installed."""


def peers_python(folder: Path) -> Path:
    """Return the interpreter of the peers' virtual environment (pinned, with hashes); install it if needed."""
    venv, stamp = folder / "peers-venv", folder / "peers.stamp"
    python = venv / "bin" / "python"
    if not (stamp.is_file() and stamp.read_text() == REQUIREMENTS.read_text() and python.exists()):
        uv = str(subjects.ROOT / ".venv" / "bin" / "uv")
        shutil.rmtree(venv, ignore_errors=True)
        try:
            subprocess.run(
                [uv, "venv", "-q", "--python", str(subjects.ROOT / ".venv/bin/python"), str(venv)], check=True
            )
            subprocess.run(
                [uv, "pip", "sync", "-q", "--compile-bytecode", "--require-hashes", "--python", str(python),
                 str(REQUIREMENTS)],
                check=True,
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            raise PeersMissingError(f"the peers could not be installed ({error})") from error
        stamp.write_text(REQUIREMENTS.read_text())
    return python


def run(folder: Path, shipped: Path, course: Path, seconds: float, rounds: int) -> PartResult:
    """Measure each for ``seconds`` in ``rounds`` rounds; only one runs at a time."""
    data = photo(1155, 866)
    group = f"Requests per second on {os.cpu_count()} cores, 1 MP JPEG, {CLIENTS} clients"
    try:
        python = peers_python(folder)
    except PeersMissingError as error:
        return PartResult([Row(group, f"not measured: {error}", None, 1.0, "least", "")])
    rates: dict[str, list[float]] = {}
    fleet = all_subjects(folder, shipped, course)["ours"]
    for _ in range(rounds):
        environments = [fleet.start(folder / f"rie-{index}.log") for index in range(os.cpu_count() or 2)]
        try:
            payload = json.dumps({"image": base64.b64encode(data).decode()}).encode()
            # An environment serves one request at a time, as on Lambda: clients wait for a lock.
            locked = [(environment, threading.Lock()) for environment in environments]
            calls = [partial(_invoke, *locked[client % len(locked)], payload) for client in range(CLIENTS)]
            rates.setdefault("ours", []).append(_rate(calls, seconds))
        finally:
            for environment in environments:
                environment.end()
        for name, command, path, body, kind in _servers(python, data):
            port = free_port()
            with _served([part.replace("PORT", str(port)) for part in command], shipped, port, folder / f"{name}.log"):
                post = [partial(_post, port, path, body, kind)] * CLIENTS
                rates.setdefault(name, []).append(_rate(post, seconds))
    ours = median(rates["ours"])
    rows = [
        Row(group, f"against {name}", ours / median(values), 1.0, "least", f"{ours:.0f}/s / {median(values):.0f}/s")
        for name, values in rates.items()
        if name != "ours"
    ]
    return PartResult(rows)


def _servers(python: Path, data: bytes) -> list[tuple[str, list[str], str, bytes, str]]:
    boundary = "loupe"
    form = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    # LitServe accepts forms and JSON, but no plain bodies.
    encoded = json.dumps({"image": base64.b64encode(data).decode()}).encode()
    tools = python.parent
    uvicorn = [str(tools / "uvicorn"), "fastapi_server:app", "--workers", "2", "--port", "PORT", "--log-level", "error"]
    bento = [str(tools / "bentoml"), "serve", "bentoml_service:Classifier", "--port", "PORT", "--host", "127.0.0.1"]
    return [
        ("LitServe", [str(python), "litserve_server.py", "PORT"], "/predict", encoded, "application/json"),
        ("BentoML", bento, "/predict", form, f"multipart/form-data; boundary={boundary}"),
        ("FastAPI and uvicorn", uvicorn, "/predict", data, "image/jpeg"),
    ]


@contextlib.contextmanager
def _served(command: list[str], model: Path, port: int, log: Path) -> Iterator[None]:
    variables = {**os.environ, "PEER_MODEL": str(model / "model.onnx"), "BENTOML_DO_NOT_TRACK": "true",
                 "PYTHONPATH": str(subjects.PEERS)}  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=subjects.PEERS, env=variables, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/docs")
                if connection.getresponse().status < 500:
                    break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"{command[0]} did not start; see {log}") from None
            finally:
                connection.close()
            time.sleep(0.1)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def _invoke(environment: ExecutionEnvironment, lock: threading.Lock, payload: bytes) -> None:
    with lock:
        outcome = environment.invoke(payload, str(uuid.uuid4()))
    if outcome.function_error or b'"label"' not in outcome.payload:
        raise RuntimeError(outcome.payload[:300])


def _post(port: int, path: str, body: bytes, kind: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": kind})
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {text[:300]!r}")
    finally:
        connection.close()


def _rate(calls: list[Callable[[], None]], seconds: float) -> float:
    """Return the requests per second of all clients, after three requests of each."""
    for call in calls * 3:
        call()
    started = time.perf_counter()
    end = started + seconds

    def client(call: Callable[[], None]) -> int:
        count = 0
        while time.perf_counter() < end:
            call()
            count += 1
        return count

    with ThreadPoolExecutor(len(calls)) as pool:
        requests = sum(pool.map(client, calls))
    return requests / (time.perf_counter() - started)
