"""The mutation test's mutants: which changes a source has, and that they are executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation import coverage_data, mutants, run
from tests.mutation.coverage_data import Coverage


def changes(folder: Path, source: str) -> list[tuple[str, str]]:
    path = folder / "module.py"
    path.write_text(source)
    drawn = [mutants.mutant(path, index) for index in range(mutants.count(path))]
    assert all(compile(mutant.source, "module.py", "exec") for mutant in drawn)
    return [(mutant.before, mutant.after) for mutant in drawn]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", [("a < b", "a <= b")]),
        ("a == b", [("a == b", "a != b")]),
        ("a and b", [("a and b", "a or b")]),
        ("a + b", [("a + b", "a - b")]),
        ("not a", [("not a", "a")]),
        ("x = True", [("True", "False")]),
        ("x = 2", [("2", "3")]),
        ("def f(): return a", [("return a", "return None")]),
        ("if a: pass", [("a", "not a")]),
    ],
)
def test_every_kind_of_change(tmp_path: Path, source: str, expected: list[tuple[str, str]]) -> None:
    assert changes(tmp_path, source) == expected


@pytest.mark.parametrize(
    "source",
    ["'text' + a", "x: 'int | None'", "@f(1)\ndef g(): pass", "if TYPE_CHECKING:\n    import a", "def f(): return None",
     "int | str", '"""A docstring."""'],
)  # fmt: skip
def test_code_that_no_test_could_distinguish_has_no_mutants(tmp_path: Path, source: str) -> None:
    assert changes(tmp_path, source) == []


def test_the_most_specific_tests_run_first(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    coverage = Coverage()
    coverage.lines[str(path), 3] |= {"broad", "narrow"}
    coverage.files[str(path)] |= {"broad", "narrow", "other"}
    coverage.breadth |= {"broad": 100, "narrow": 2, "other": 50}
    assert coverage.tests(path, 3) == ["narrow", "broad"]
    assert coverage.tests(path, 1) == ["narrow", "other", "broad"], "a line executed on import"


def test_excluded_modules_exist() -> None:
    assert {path.name for path in coverage_data.UNIT.glob("test_*.py")} >= coverage_data.EXCLUDED


def test_exit_codes_unrelated_to_the_mutant_end_the_run() -> None:
    assert run.outcome(0) == run.SURVIVED
    assert run.outcome(1 << 8) == run.KILLED
    with pytest.raises(SystemExit, match="failed to run the tests"):
        run.outcome(3 << 8)
