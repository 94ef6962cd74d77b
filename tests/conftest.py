"""What all suites share: the order in which they run, and a closing table that names what was not run."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
# The quick ones first: they fail first.
ORDER = ("unit", "infra", "modelkit", "runtime", "cloud", "browser", "container")
OUTCOMES = ("passed", "failed", "error", "skipped")


def _suite(path: str) -> str:
    parts = Path(path).parts
    return parts[parts.index("tests") + 1] if "tests" in parts and len(parts) > parts.index("tests") + 1 else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        suite = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        return ORDER.index(suite) if suite in ORDER else len(ORDER)

    items.sort(key=rank)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line for each suite, what tests noted, then every reason for which a test was skipped, by name.

    A test notes something with ``record_property("note", "...")``.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    reasons: dict[str, list[str]] = defaultdict(list)
    notes: list[str] = []
    for outcome in OUTCOMES:
        for report in terminalreporter.stats.get(outcome, []):
            suite = _suite(report.nodeid)
            counts[suite][outcome] += 1
            # A module that could not be collected, or skips itself, has a report without properties.
            notes.extend(str(value) for name, value in getattr(report, "user_properties", ()) if name == "note")
            if outcome == "skipped":
                reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
                reasons[f"{suite}: {reason.removeprefix('Skipped: ')}"].append(report.nodeid.split("::", 1)[-1])
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration") and hasattr(report, "nodeid"):
                seconds[_suite(report.nodeid)] += report.duration
    if not counts:
        return
    write = terminalreporter.write_line
    terminalreporter.section("suites")
    for suite in sorted(counts, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
        shown = ", ".join(f"{counts[suite][outcome]} {outcome}" for outcome in OUTCOMES if counts[suite][outcome])
        write(f"{suite:<10} {seconds[suite]:6.1f} s  {shown}")
    write("")
    for note in notes:
        write(note)
    if not reasons:
        write("Nothing was skipped.")
    else:
        write("Not run on this machine:")
    for reason, names in sorted(reasons.items()):
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        write(f"- {reason} ({shown})")
