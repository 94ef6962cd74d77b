"""Every test that `docs/step-functions.md` names exists, and every test of the emulation is named there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parents[1] / "docs" / "step-functions.md"
# Of the emulation's own parts, which follow from the rows above them.
UNNAMED = {
    "test_a_line_separator_of_unicode_does_not_end_a_json_line",
    "test_a_passing_error_is_retried_and_another_is_not",
    "test_a_running_execution_keeps_its_name",
    "test_an_empty_dataset_succeeds_without_children",
}


def test_the_table_and_the_tests_name_each_other() -> None:
    documented = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    files = [TESTS / f"test_step_functions_{part}.py" for part in ("map", "readers", "api")]
    files.append(TESTS.parent / "bounds" / "test_million_rows.py")
    tests = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)}
    assert documented == tests - UNNAMED
    assert tests >= UNNAMED
