"""The outcome of a smoke test for people, for CI (JUnit XML) and for programs (JSON)."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from tools.smoke.suite import Outcome, Run

_STYLES = {"passed": "[green]ok[/]     ", "failed": "[bold red]FAILED[/] ", "skipped": "[yellow]skipped[/]"}


def line(console: Console, outcome: Outcome) -> None:
    """Print one check as soon as it is done."""
    console.print(f"{_STYLES[outcome.status]} {escape(outcome.name):<46} {escape(outcome.detail)}")


def summary(console: Console, run: Run, outcomes: Sequence[Outcome]) -> None:
    counts = Counter(outcome.status for outcome in outcomes)
    text = ", ".join(f"{counts[status]} {status}" for status in ("passed", "failed", "skipped"))
    throttled = f"; {run.endpoint.throttled} throttled requests were sent again" if run.endpoint.throttled else ""
    console.print(f"\n{run.endpoint.url}: {text}{throttled}")


def as_dict(run: Run, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "url": run.endpoint.url,
        "model": {"name": run.card.name, "version": run.card.version},
        "passed": all(outcome.status != "failed" for outcome in outcomes),
        "checks": [outcome.to_dict() for outcome in outcomes],
        "latency": run.latency,
    }


def as_json(run: Run, outcomes: Sequence[Outcome]) -> str:
    return json.dumps(as_dict(run, outcomes), indent=2)


def as_junit(run: Run, outcomes: Sequence[Outcome]) -> str:
    """Return JUnit XML as CI systems read it: one suite, a test case for each check."""
    counts = Counter(outcome.status for outcome in outcomes)
    suite = ET.Element(
        "testsuite",
        name="smoke",
        tests=str(len(outcomes)),
        failures=str(counts["failed"]),
        skipped=str(counts["skipped"]),
        errors="0",
        time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="url", value=run.endpoint.url)
    for outcome in outcomes:
        case = ET.SubElement(suite, "testcase", classname="smoke", name=outcome.name, time=f"{outcome.seconds:.3f}")
        if outcome.status == "failed":
            ET.SubElement(case, "failure", message=outcome.detail)
        elif outcome.status == "skipped":
            ET.SubElement(case, "skipped", message=outcome.detail)
        else:
            ET.SubElement(case, "system-out").text = outcome.detail
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)
