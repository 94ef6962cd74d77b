"""Decoding in a child process: its limits, nothing inherited, nothing left behind."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import heic_boxes
import pytest
from loupe import restart
from loupe.card import InputSpec
from loupe.decoders import Plan, isolated
from loupe.errors import ImageUndecodable, InternalError
from loupe.image import Limits, decode

SPEC = InputSpec("input", 20, 20)
PLAN = Plan(lambda _: None, SPEC, 1_000_000)
RAW = isolated.Raw("L", (2, 1), b"ab")


def usage() -> tuple[float, int]:
    """Return the children's processor time in seconds, and their page faults without reading."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime, children.ru_minflt


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def busy(*_: object) -> isolated.Raw:
    while True:
        pass


def test_nested_overlays_end_at_the_time_limit_of_their_size() -> None:
    """Each level of 70 bytes doubles the work: 16 levels would take minutes of processor time."""
    assert decode(heic_boxes.overlays(4), Limits(), SPEC).size == (64, 64)
    data, (before, _) = heic_boxes.overlays(16), usage()
    assert len(data) < 3000
    with pytest.raises(ImageUndecodable, match="too much time"):
        decode(data, Limits(), SPEC)
    assert usage()[0] - before < 2 * isolated._OPEN_SECONDS


def test_the_time_to_decode_begins_with_the_size_and_grows_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "_OPEN_SECONDS", 0.05)
    monkeypatch.setattr(isolated, "_SECONDS_FOR_A_MILLION", 0.3)

    def opened(_: bytes, plan: Plan) -> isolated.Raw:
        plan.check((1000, 1000))
        return busy()

    spent = []
    for work in (busy, opened):
        before, _ = usage()
        with pytest.raises(ImageUndecodable, match="too much time"):
            isolated.decode_in_child(work, b"", PLAN)
        spent.append(usage()[0] - before)
    assert spent[0] < 0.3
    assert 0.3 < spent[1] < 0.8


def test_tiles_cost_little_more_than_in_this_process() -> None:
    """Without an arena, each thread of libheif would map and unmap every allocation: 37,000 page faults."""
    data, (_, before) = heic_boxes.grid(16, 16), usage()
    assert decode(data, Limits(), SPEC).size == (1024, 1024)
    assert usage()[1] - before < 15_000


def test_child_inherits_no_descriptors() -> None:
    reader, writer = os.pipe()

    def look(*_: object) -> isolated.Raw:
        for descriptor in (reader, writer):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
        return RAW

    before = descriptors()
    try:
        assert isolated.decode_in_child(look, b"", PLAN).image.size == (2, 1)
        assert descriptors() == before
    finally:
        os.close(reader)
        os.close(writer)


def test_failed_fork_is_not_a_problem_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", exhausted)
    before = descriptors()
    with pytest.raises(InternalError) as caught:
        decode(heic_boxes.grid(1, 1), Limits(), SPEC)
    assert isinstance(caught.value.__cause__, BlockingIOError)
    assert descriptors() == before


def test_running_children_end_before_the_process_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        def wait_next_invocation(self) -> str:
            return "event"

    module: Any = type(sys)("awslambdaric.lambda_runtime_client")
    module.LambdaRuntimeClient = Client
    monkeypatch.setitem(sys.modules, module.__name__, module)
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    monkeypatch.setattr(isolated, "_CHILDREN", {child})
    ended = []
    monkeypatch.setattr(os, "execve", lambda *_: ended.append(not Path(f"/proc/{child}").exists()))
    restart.after_response()
    Client().wait_next_invocation()
    assert ended == [True]
