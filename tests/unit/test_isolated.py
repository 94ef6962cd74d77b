"""Decoding in a child process: its limits, nothing inherited, nothing left behind."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import heic_boxes
import pytest
from loupe import restart
from loupe.card import InputSpec
from loupe.decoders import Plan, isolated
from loupe.errors import InternalError
from loupe.image import Limits, decode

SPEC = InputSpec("input", 20, 20)
PLAN = Plan(lambda _: None, SPEC, 1_000_000)
RAW = isolated.Raw("L", (2, 1), b"ab")


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


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
