"""docs/benchmarks.md and its plots, generated from the rows of one run."""

from __future__ import annotations

import datetime as dt
import platform
from pathlib import Path

from benchmarks import plots
from benchmarks.timing import Row, Section

MARK = {True: "yes", False: "**no**", None: ""}


def machine() -> str:
    """Return one line: processor, cores, memory, Python."""
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    return f"{processor}, {cores} cores, {memory} GiB, Python {platform.python_version()}"


def write(folder: Path, rows: list[Row], sections: list[Section], minutes: float, *, quick: bool) -> Path:
    """Write the page and its plots; return the path of the page."""
    target, images = folder / "benchmarks.md", folder / "images"
    today = dt.datetime.now(dt.UTC).date().isoformat()
    parts = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {today} in {minutes:.0f} minutes{' (quick)' if quick else ''}: {machine()}.",
        "All subjects were measured alternately in this run. Ratios compare medians, with a 95 % bootstrap",
        "interval if there are enough samples. Rows and peers: [performance.md](performance.md#subjects-and-targets).",
        "",
        "![Each ratio beside its target](images/benchmarks.svg)",
        "",
        "| comparison | target | measured | met | figures |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        sign = {"least": "≥ ", "most": "≤ ", "none": ""}[row.sense]
        target_text = "" if row.target is None else f"{sign}{row.target:g} {row.unit}"
        interval = "" if row.interval is None else f" ({row.interval[0]:.2f} to {row.interval[1]:.2f})"
        value = "" if row.ratio is None else f"{row.ratio:.2f} {row.unit}{interval}"
        parts.append(f"| {row.group}: {row.what} | {target_text} | {value} | {MARK[row.passed]} | {row.detail} |")
    plots.targets(images / "benchmarks.svg", rows)
    for section in sections:
        parts += ["", f"## {section.title}", ""]
        if section.plot is not None:
            section.plot(images / section.plot_name)
            parts += [f"![{section.title}](images/{section.plot_name})", ""]
        parts += section.lines
    target.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return target
