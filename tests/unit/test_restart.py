"""The process is replaced between a response and the next event; tests/runtime does it in the real runtime."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from loupe import restart


class Client:
    """A substitute for the client of awslambdaric."""

    def wait_next_invocation(self) -> str:
        return "event"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    client = type("LambdaRuntimeClient", (Client,), {})
    module = ModuleType("awslambdaric.lambda_runtime_client")
    module.LambdaRuntimeClient = client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return client


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], dict[str, str]]]:
    calls: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: calls.append(arguments))
    return calls


def test_process_is_replaced_before_it_asks_for_the_next_event(client: Any, replaced: Any) -> None:
    assert restart.after_response()
    assert replaced == []
    client().wait_next_invocation()
    ((program, arguments, variables),) = replaced
    assert (program, arguments) == (sys.executable, sys.orig_argv)
    assert variables["LOUPE_INITIALIZATION"] == "restart"


def test_restart_uses_the_original_environment(client: Any, replaced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime client removes the descriptor of its log from the environment, and sets the trace id."""
    first = "_LAMBDA_TELEMETRY_LOG_FD=62\0PATH=/usr/bin\0ODD=a=b\0EMPTY=\0"
    monkeypatch.setattr(restart, "Path", lambda path: SimpleNamespace(read_bytes=first.encode))
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1")
    restart.after_response()
    client().wait_next_invocation()
    expected = {"_LAMBDA_TELEMETRY_LOG_FD": "62", "PATH": "/usr/bin", "ODD": "a=b", "EMPTY": ""}
    assert replaced[0][2] == expected | {"LOUPE_INITIALIZATION": "restart"}


def test_restart_without_proc_uses_the_current_environment(
    client: Any, replaced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> bytes:
        raise FileNotFoundError

    monkeypatch.setattr(restart, "Path", lambda path: SimpleNamespace(read_bytes=missing))
    restart.after_response()
    client().wait_next_invocation()
    assert replaced[0][2] == {**os.environ, "LOUPE_INITIALIZATION": "restart"}


def test_unknown_runtime_client_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "awslambdaric.lambda_runtime_client", raising=False)
    assert not restart.after_response()
    other = ModuleType("awslambdaric.lambda_runtime_client")
    monkeypatch.setitem(sys.modules, other.__name__, other)
    assert not restart.after_response()


def test_pinned_runtime_client_has_the_replaced_method() -> None:
    """Importing it would start a client, so its source is read: the base image brings the same package."""
    from importlib.metadata import files

    sources = {path.name: path.read_text() for path in files("awslambdaric") or () if path.suffix == ".py"}
    assert "class LambdaRuntimeClient(" in sources["lambda_runtime_client.py"]
    assert "def wait_next_invocation(self)" in sources["lambda_runtime_client.py"]
    loop = sources["bootstrap.py"].split("while True:")[1]
    assert loop.index("lambda_runtime_client.wait_next_invocation()") < loop.index("handle_event_request(")
