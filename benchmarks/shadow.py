"""A shadow test beside none: time to the response, and what a sample takes between the response and the next event.

The handler's processor time for an HTTP event, each image with a shadow test that samples all, with one that samples
none, and without one in turn; then wall time. Lambda and S3 are a server of another process on this machine, without
TLS: their own time and the network's are not in the figures, the time limit is.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.subjects import CONTEXT, Handler, http_event, ours
from benchmarks.timing import PartResult, Row, median, ratio
from benchmarks.workload import MEGAPIXELS, photo

GROUP = "Shadow test"
# Of the time to the response, all images sampled.
TARGET = 1.1
# Of the time after the response where nothing answers, ms: `loupe.shadow.sender.SEND_SECONDS`, and a tenth more.
BOUND_MS = 550.0
ARN = "arn:aws:lambda:us-east-1:000000000000:function:loupe-benchmark-shadow:live"
# Answers 202 to Lambda's path and 200 to S3's; with an argument it waits so many seconds first.
_SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self, status=202):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(float(sys.argv[1]))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_PUT(self):
        self.do_POST(200)
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class Subject(NamedTuple):
    """An image, and whether its samples are files or the pixels of the model's input."""

    name: str
    image: bytes
    pixels: bool


def run(default: Path, rounds: int) -> PartResult:
    """Measure with the shipped model."""
    small, large = (photo(*MEGAPIXELS[size]) for size in (1, 12))
    rows: list[Row] = []
    with _server(0.0) as endpoint:
        for subject in (
            Subject("1 MP, pixels", small, pixels=True),
            Subject("1 MP, file in the event", small, pixels=False),
            Subject("12 MP, file through S3", large, pixels=False),
        ):
            rows += _rows(subject, default, endpoint, rounds)
    with _server(5.0) as endpoint:
        rows += _bound(default, endpoint, small)
    return PartResult(rows)


@contextlib.contextmanager
def _server(seconds: float) -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-c", _SERVER, str(seconds)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def _handler(model: Path, endpoint: str, share: str, *, pixels: bool) -> tuple[Handler, Callable[[], None]]:
    """Return a handler whose samples wait, as they do for the runtime client, and what sends them."""
    variables = {
        "LOUPE_SHADOW_FUNCTION_ARN": ARN,
        "LOUPE_SHADOW_CHALLENGER": "challenger",
        "LOUPE_SHADOW_SHARE": share,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
    }
    handler = ours(model, **variables, **({} if pixels else {"LOUPE_SHADOW_BUCKET": "samples"}))
    champion: Any = handler.__globals__["SHADOW"]
    champion.after_response = True
    return handler, champion._sender.flush  # noqa: SLF001


def _rows(subject: Subject, model: Path, endpoint: str, rounds: int) -> list[Row]:
    off = ours(model)
    on, flush = _handler(model, endpoint, "1.0", pixels=subject.pixels)
    idle, _ = _handler(model, endpoint, "0.0001", pixels=subject.pixels)
    times: dict[str, list[float]] = {name: [] for name in ("off", "on", "idle", "after")}

    def timed(name: str, call: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> None:
        started = clock()
        call()
        times[name].append((clock() - started) * 1e3)

    handlers = {"off": off, "on": on, "idle": idle}
    order = list(handlers)
    with Path(os.devnull).open("w") as devnull, contextlib.redirect_stdout(devnull):
        for _ in range(rounds + 3):
            for name in order:
                event = http_event(subject.image)
                timed(name, lambda name=name, event=event: handlers[name](event, CONTEXT))  # type: ignore[misc]
                if name == "on":
                    timed("after", flush, time.perf_counter)
            order.append(order.pop(0))
    first = times["after"][0]
    samples = {name: values[3:] for name, values in times.items()}
    rows = []
    for name, what in (("on", "every image sampled"), ("idle", "no image sampled")):
        value, interval = ratio(samples[name], samples["off"])
        detail = f"{median(samples[name]):.2f} ms / {median(samples['off']):.2f} ms"
        rows.append(
            Row(GROUP, f"response, {what}, against none, {subject.name}", value, TARGET, "most", detail, interval)
        )
    detail = f"the first of an execution environment {first:.0f} ms"
    after = median(samples["after"])
    return [*rows, Row(GROUP, f"after the response, {subject.name}", after, None, "none", detail, unit="ms")]


def _bound(model: Path, endpoint: str, image: bytes) -> list[Row]:
    handler, flush = _handler(model, endpoint, "1.0", pixels=False)
    milliseconds = []
    with Path(os.devnull).open("w") as devnull, contextlib.redirect_stdout(devnull):
        for _ in range(6):
            handler(http_event(image), CONTEXT)
            started = time.perf_counter()
            flush()
            milliseconds.append((time.perf_counter() - started) * 1e3)
    # Three failures open the circuit.
    failing, open_circuit = milliseconds[:3], milliseconds[3:]
    what = "after the response, an endpoint that does not answer"
    return [
        Row(GROUP, what, max(failing), BOUND_MS, "most", "the longest of three", unit="ms"),
        Row(GROUP, f"{what}, circuit open", max(open_circuit), 5.0, "most", "the longest of three", unit="ms"),
    ]
