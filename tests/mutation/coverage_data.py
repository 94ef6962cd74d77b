"""Which unit tests execute which line of the function: one run of the unit tests under coverage, by test."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from coverage import CoverageData

ROOT = Path(__file__).parents[2]
FUNCTION = ROOT / "function" / "loupe"
UNIT = ROOT / "tests" / "unit"
FOLDER = ROOT / ".local" / "mutation"
# Tests of training scripts, of whole models and of the suites: slow, and no check of a single line.
EXCLUDED = {"test_hair_type_training.py", "test_models_hair_type.py", "test_suites.py"}
_IMPORT = re.compile(r"^(from|import) loupe\b", re.MULTILINE)
_CONFIG = "[run]\nbranch = true\nsource = {source}\n"


@dataclass
class Coverage:
    """Tests by line of a file, by file, and the number of lines that a test executes."""

    lines: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    files: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    breadth: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def tests(self, path: Path, line: int) -> list[str]:
        """Tests that execute a line, the most specific first; for a line executed on import, all of the file."""
        tests = self.lines.get((str(path), line)) or self.files.get(str(path), set())
        return sorted(tests, key=lambda name: (self.breadth[name], name))


def measure() -> Coverage:
    """Run the unit tests under coverage, unless neither they nor the function have changed since the last time."""
    modules = _modules()
    data_file = FOLDER / f"coverage-{_digest([*FUNCTION.rglob('*.py'), *modules])}"
    if not data_file.exists():
        _run(modules, data_file)
    return _read(data_file)


def _modules() -> list[Path]:
    return [
        path
        for path in sorted(UNIT.glob("test_*.py"))
        if path.name not in EXCLUDED and _IMPORT.search(path.read_text(encoding="utf-8"))
    ]


def _run(modules: Iterable[Path], data_file: Path) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    config = FOLDER / "coveragerc"
    config.write_text(_CONFIG.format(source=FUNCTION), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--cov", "--cov-report="]
    command += [f"--cov-config={config}", "--cov-context=test", *map(str, modules)]
    partial = data_file.with_suffix(".partial")
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, "COVERAGE_FILE": str(partial)})
    if run.returncode != 0:
        raise SystemExit("The unit tests fail: a mutant would look killed by what fails without it.")
    partial.rename(data_file)


def _read(data_file: Path) -> Coverage:
    data = CoverageData(basename=str(data_file))
    data.read()
    result = Coverage()
    for path in data.measured_files():
        for line, contexts in data.contexts_by_lineno(path).items():
            for context in contexts:
                test = context.partition("|")[0]
                if test:
                    result.lines[path, line].add(test)
                    result.files[path].add(test)
                    result.breadth[test] += 1
    return result


def _digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(str(path).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]
