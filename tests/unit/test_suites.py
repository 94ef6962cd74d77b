"""The suites can be run together: `make test` collects them in one process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_no_two_modules_have_one_name() -> None:
    """pytest imports a test module by its file's name, so that two of one name cannot be collected together."""
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
