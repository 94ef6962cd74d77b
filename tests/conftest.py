"""Shared by all suites: their order, their distribution over processes, and a summary that names what was skipped."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests import scheduling

TESTS = Path(__file__).parent
OUTCOMES = ("passed", "failed", "error", "skipped")


def _suite(path: str) -> str:
    parts = Path(path).parts
    return parts[parts.index("tests") + 1] if "tests" in parts and len(parts) > parts.index("tests") + 1 else path


def _place(suite: str) -> int:
    return scheduling.SERIAL_ORDER.index(suite) if suite in scheduling.SERIAL_ORDER else len(scheduling.SERIAL_ORDER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = scheduling.PARALLEL_ORDER if os.environ.get("PYTEST_XDIST_WORKER") else scheduling.SERIAL_ORDER

    def rank(item: pytest.Item) -> int:
        suite = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        return order.index(suite) if suite in order else len(order)

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> scheduling.SuiteScheduling:
    config.option.loadscopereorder = False  # by number of tests, which says little about their time
    return scheduling.SuiteScheduling(config, log)


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
    for suite in sorted(counts, key=_place):
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
