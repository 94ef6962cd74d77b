"""Measure beside peers and beside the floor: ``python -m benchmarks``."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import batches, cold, opened, report, throughput, warm
from benchmarks.subjects import ROOT
from benchmarks.timing import Row
from benchmarks.workload import course_model

console = Console(highlight=False)


def main(
    quick: Annotated[bool, typer.Option(help="A fifth of the rounds: to try a change, not to publish.")] = False,
    only: Annotated[str, typer.Option(help="One part: warm, cold, opened, throughput or batch. Writes nothing.")] = "",
    docs: Annotated[Path, typer.Option(help="Where benchmarks.md and its plot are written.")] = ROOT / "docs",
) -> None:
    """Measure this project beside its peers in one run and write docs/benchmarks.md.

    Nothing else should run on the machine meanwhile.
    """
    folder = ROOT / ".local" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    shipped, course = ROOT / "models" / "hair-type", course_model(folder)
    share = 5 if quick else 1
    files: dict[str, Counter[str]] = {}

    def trace() -> list[Row]:
        rows, found = opened.run(folder, shipped, course)
        files.update(found)
        return rows

    parts = {
        "warm": lambda: warm.run(shipped, course, 100 // share),
        "cold": lambda: cold.run(folder, shipped, course, max(3, 20 // share)),
        "opened": trace,
        "batch": lambda: batches.run(folder, shipped, course, max(5, 30 // share)),
        "throughput": lambda: throughput.run(folder, shipped, course, 8 / share, max(1, 3 // share)),
    }
    if only and only not in parts:
        raise typer.BadParameter(f"must be one of {', '.join(parts)}", param_hint="--only")
    begun, rows = time.monotonic(), []
    for name, measure in parts.items():
        if only in ("", name):
            with console.status(f"{name} ..."):
                part_begun = time.monotonic()
                found = measure()
            console.print(f"[bold]{name}[/bold] {time.monotonic() - part_begun:.0f} s")
            for row in found:
                mark = {True: "[green]met[/green]", False: "[red]not met[/red]", None: ""}[row.passed]
                value = "" if row.ratio is None else f"{row.ratio:.2f} {row.unit}"
                console.print(f"  {row.group}: {row.what}: {value} ({row.detail}) {mark}")
            rows += found
    if not only:
        page = report.write(docs, rows, files, (time.monotonic() - begun) / 60, quick=quick)
        console.print(f"{page.relative_to(ROOT) if page.is_relative_to(ROOT) else page} written")


if __name__ == "__main__":
    typer.run(main)
