"""The suites can be run together: `make test` collects them in one process."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.scheduling import INDEPENDENT, PARALLEL_ORDER, SERIAL_ORDER, scope

TESTS = Path(__file__).parents[1]


def test_no_two_modules_have_one_name() -> None:
    """pytest imports a test module by its file's name, so that two of one name cannot be collected together."""
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_modules_that_share_a_deployed_stack_run_in_one_process() -> None:
    texts = {f"tests/cloud/{path.name}": path.read_text("utf-8") for path in (TESTS / "cloud").glob("test_*.py")}
    # A test that takes the fixture of tests/cloud/conftest.py.
    user = re.compile(r"^def test_\w+\([^)]*\bdeployed: Deployed", re.MULTILINE)
    own = re.compile(r"^def deployed\(", re.MULTILINE)
    users = {name for name, text in texts.items() if user.search(text) and not own.search(text)}
    assert len(users) > 15
    assert {scope(f"{module}::test") for module in users} == {"cloud"}
    for module in INDEPENDENT:
        assert "own_cloud(" in texts[module] or "tools.acceptance" in texts[module], "it has no local cloud of its own"
    assert scope("tests/unit/test_a.py::test_b[x::y]") == "tests/unit/test_a.py"


def test_every_suite_has_a_place_in_both_orders() -> None:
    suites = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}
    assert suites == set(PARALLEL_ORDER) == set(SERIAL_ORDER)
