"""One mutant against the tests that execute its line, in a forked process; the mutated module is in memory only."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from tests.mutation.coverage_data import ROOT
from tests.mutation.mutants import Mutant

# The most specific tests first; the others only if these pass.
FIRST = 30
TIMEOUT_SECONDS = 180
KILLED, SURVIVED, NOT_COVERED, TIMED_OUT = "killed", "survived", "not covered", "timed out"
# Exit codes of pytest.
_INTERNAL_ERROR, _NO_TESTS = 3, 5


class _Loader(SourceFileLoader):
    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(mutant.path))
        self._source = mutant.source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        parts = mutant.path.relative_to(ROOT / "function").with_suffix("").parts
        self._name = ".".join(parts).removesuffix(".__init__")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Loader(fullname, self._mutant)
        return importlib.util.spec_from_file_location(fullname, self._mutant.path, loader=loader)


class _Select:
    """Deselects every test that is not named."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = set(names)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self._names]


def start(mutant: Mutant, tests: Sequence[str], log: Path) -> int:
    """Fork a process that runs the tests against the mutant; returns its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with log.open("w", encoding="utf-8") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.setsid()
        signal.alarm(TIMEOUT_SECONDS)
        code = _run(mutant, tests)
    finally:
        os._exit(code)


def outcome(status: int) -> str:
    """Return the meaning of a process's exit status."""
    if os.WIFSIGNALED(status):
        return TIMED_OUT if os.WTERMSIG(status) == signal.SIGALRM else KILLED
    if os.WEXITSTATUS(status) in {_INTERNAL_ERROR, _NO_TESTS}:
        raise SystemExit("pytest failed to run the tests of a mutant; its log is in .local/mutation.")
    return SURVIVED if os.WEXITSTATUS(status) == 0 else KILLED


def end(child: int) -> None:
    """End what a process has started and left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _run(mutant: Mutant, tests: Sequence[str]) -> int:
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, _Finder(mutant))
    for part in (tests[:FIRST], tests[FIRST:]):
        if part:
            files = sorted({name.partition("::")[0] for name in part})
            arguments = ["-x", "-q", "-p", "no:cacheprovider", *files]
            code = int(pytest.main(arguments, plugins=[_Select(part)]))
            if code:
                return code
    return 0
