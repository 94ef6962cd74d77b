"""Compare Loupe with its peers and the floor: ``python -m benchmarks``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import (
    batches,
    bulk,
    caching,
    cold,
    content,
    costs,
    largest,
    opened,
    report,
    shadow,
    shipped,
    stages,
    throughput,
    warm,
)
from benchmarks.subjects import ROOT
from benchmarks.timing import PartResult, Row, Section
from benchmarks.workload import course_model

console = Console(highlight=False)


def main(
    quick: Annotated[
        bool, typer.Option(help="Run a fifth of the rounds: for trying a change, not for publishing.")
    ] = False,
    only: Annotated[str, typer.Option(help="Run and print one part; write nothing.")] = "",
    docs: Annotated[Path, typer.Option(help="Folder of benchmarks.md and its plots.")] = ROOT / "docs",
) -> None:
    """Compare Loupe with its peers in one run and write docs/benchmarks.md.

    Run nothing else on the machine meanwhile.
    """
    folder = ROOT / ".local" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    default, course = ROOT / "models" / "hair-type", course_model(folder)
    share = 5 if quick else 1
    parts: dict[str, Callable[[], PartResult]] = {
        "warm": lambda: warm.run(default, course, 150 // share),
        "models": lambda: shipped.run(ROOT / "models", 200 // share),
        "stages": lambda: stages.run(folder, default, course, 60 // share),
        "cold": lambda: cold.run(folder, default, course, max(3, 20 // share)),
        "opened": lambda: opened.run(folder, default, course),
        "content": lambda: content.run(folder),
        "largest": lambda: largest.run(folder, default, course),
        "batch": lambda: batches.run(folder, default, course, max(5, 30 // share)),
        "bulk": lambda: bulk.run(folder, max(4, 12 // share), 2000 if share == 1 else 500),
        "throughput": lambda: throughput.run(folder, default, course, 8 / share, max(1, 3 // share)),
        "cache": lambda: caching.run(folder, default, 60 // share),
        "shadow": lambda: shadow.run(default, 100 // share),
        "cost": lambda: costs.run(folder, default, course, 200 // share),
    }
    if only and only not in parts:
        raise typer.BadParameter(f"must be one of {', '.join(parts)}", param_hint="--only")
    started, rows, sections = time.monotonic(), list[Row](), list[Section]()
    for name, measure in parts.items():
        if only in ("", name):
            with console.status(f"{name} ..."):
                part_started = time.monotonic()
                result = measure()
            console.print(f"[bold]{name}[/bold] {time.monotonic() - part_started:.0f} s")
            _show(result, sections=bool(only))
            rows += result.rows
            sections += result.sections
    if not only:
        page = report.write(docs, rows, sections, (time.monotonic() - started) / 60, quick=quick)
        console.print(f"{page.relative_to(ROOT) if page.is_relative_to(ROOT) else page} written")


def _show(result: PartResult, *, sections: bool) -> None:
    for row in result.rows:
        mark = {True: "[green]met[/green]", False: "[red]not met[/red]", None: ""}[row.passed]
        value = "" if row.ratio is None else f"{row.ratio:.2f} {row.unit}"
        console.print(f"  {row.group}: {row.what}: {value} ({row.detail}) {mark}")
    if sections:
        for section in result.sections:
            console.print(f"\n{section.title}", *section.lines, sep="\n")


if __name__ == "__main__":
    typer.run(main)
