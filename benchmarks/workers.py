"""Subjects in separate processes on one core, called one at a time.

In one process they would share the allocator's state and the spinning threads of default sessions. Waiting
processes are stopped, as Lambda freezes an environment between requests.
"""

from __future__ import annotations

import base64
import contextlib
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from benchmarks import subjects
from benchmarks.timing import Samples
from infra.allocator import ALLOCATOR

Kind = Literal["ours", "course", "floor"]
# The first call of each turn is not counted: the other subjects have evicted the CPU caches.
CALLS_A_TURN = 3


class Worker:
    """One subject, serving one model, in a process on this core."""

    def __init__(self, kind: Kind, model: Path, core: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(child, kind, model, core), daemon=True)
        # The floor uses the best known allocator settings as well.
        with subjects.environment({} if kind == "course" else ALLOCATOR):
            self._process.start()
        child.close()
        self._receive()
        self._signal(signal.SIGSTOP)

    def time(self, data: bytes, calls: int) -> list[float]:
        """Call with this JPEG once, then ``calls`` times more; return the milliseconds of those."""
        self._signal(signal.SIGCONT)
        self._connection.send((data, calls))
        times = self._receive()
        self._signal(signal.SIGSTOP)
        return times

    def end(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.join()

    def _receive(self) -> list[float]:
        message = self._connection.recv()
        if isinstance(message, str):
            raise RuntimeError(message)
        return list(message)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.pid is not None:
            os.kill(self._process.pid, number)


@contextlib.contextmanager
def workers(kinds: Mapping[str, tuple[Kind, Path]], core: int) -> Iterator[dict[str, Worker]]:
    """Start a worker for each subject; end all workers at exit."""
    started: dict[str, Worker] = {}
    try:
        for name, (kind, model) in kinds.items():
            started[name] = Worker(kind, model, core)
        yield started
    finally:
        for worker in started.values():
            worker.end()


def time_in_turn(running: Mapping[str, Worker], data: bytes, rounds: int) -> Samples:
    """Time every worker in each round, starting with another one each round; return milliseconds by name."""
    samples: Samples = {name: [] for name in running}
    order = list(running)
    for _ in range(rounds):
        for name in order:
            samples[name] += running[name].time(data, CALLS_A_TURN)
        order.append(order.pop(0))
    return samples


def _serve(connection: Connection, kind: Kind, model: Path, core: int) -> None:
    os.sched_setaffinity(0, {core})
    with Path(os.devnull).open("w") as devnull, contextlib.redirect_stdout(devnull):
        subject = getattr(subjects, kind)(model)
        connection.send([])
        while True:
            try:
                data, calls = connection.recv()
            except (EOFError, KeyboardInterrupt):
                return
            call = _call(subject, kind, data)
            call()
            times = []
            for _ in range(calls):
                started = time.perf_counter()
                response = call()
                times.append((time.perf_counter() - started) * 1e3)
            connection.send(times if _classified(kind, response) else f"{kind} did not classify: {response}")


def _classified(kind: Kind, response: Any) -> bool:
    if kind == "ours":
        return bool(response["statusCode"] == 200)
    return math.isfinite(response if kind == "floor" else response["prediction"])


def _call(subject: Callable[..., Any], kind: Kind, data: bytes) -> Callable[[], Any]:
    if kind == "floor":
        return lambda: subject(data)
    # The payloads on AWS: API Gateway's event, and the course's own payload.
    event = subjects.http_event(data) if kind == "ours" else {"image": base64.b64encode(data).decode()}
    return lambda: subject(event, subjects.CONTEXT)
