"""docs/benchmarks.md and its plot, from the rows of one run. No figure is typed by hand."""

from __future__ import annotations

import datetime as dt
import platform
from collections import Counter
from pathlib import Path

from benchmarks.timing import Row

MARK = {True: "yes", False: "**no**", None: ""}


def machine() -> str:
    """One line: processor, cores, memory, Python."""
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    return f"{processor}, {cores} cores, {memory} GiB, Python {platform.python_version()}"


def write(folder: Path, rows: list[Row], opened: dict[str, Counter[str]], minutes: float, *, quick: bool) -> Path:
    """Write the page and the plot beside it; return the page."""
    target = folder / "benchmarks.md"
    today = dt.datetime.now(dt.UTC).date().isoformat()
    parts = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {today} in {minutes:.0f} minutes{' (quick)' if quick else ''}: {machine()}.",
        "What is compared was measured in this one run, in turn; ratios are of medians, with a 95 % bootstrap",
        "interval where there are samples enough. What each row is, and the peers: the modules of `benchmarks/`.",
        "",
        "![Each ratio beside its target](images/benchmarks.svg)",
        "",
        "| what | target | measured | met | figures |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        sign = {"least": "≥ ", "most": "≤ ", "none": ""}[row.sense]
        target_text = "" if row.target is None else f"{sign}{row.target:g} {row.unit}"
        interval = "" if row.interval is None else f" ({row.interval[0]:.2f} to {row.interval[1]:.2f})"
        value = "" if row.ratio is None else f"{row.ratio:.2f} {row.unit}{interval}"
        parts.append(f"| {row.group}: {row.what} | {target_text} | {value} | {MARK[row.passed]} | {row.detail} |")
    for name, files in opened.items():
        title = {"ours": "ours", "peer": "peer (a)"}[name]
        parts += ["", f"## Files opened up to the first answer: {title}", "", "| MB | file |", "|---|---|"]
        for path, size in files.most_common(12):
            parts.append(f"| {size / 1e6:.2f} | {_short(path)} |")
        parts.append(f"| {sum(files.values()) / 1e6:.2f} | all {len(files)} |")
    target.write_text("\n".join(parts) + "\n", encoding="utf-8")
    _plot(folder / "images" / "benchmarks.svg", rows)
    return target


def _short(path: str) -> str:
    """A path without the machine's own folders."""
    for mark in ("site-packages/", "/lib/python3", "/usr/lib/", "/lib/"):
        if mark in path:
            return mark.strip("/") + "/" + path.split(mark, 1)[1]
    return Path(path).name


def _plot(target: Path, rows: list[Row]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "loupe"
    from matplotlib import pyplot as plt

    shown = [row for row in rows if row.ratio is not None and row.target is not None and row.unit == "x"]
    figure, axis = plt.subplots(figsize=(9, 0.42 * len(shown) + 1))
    for place, row in enumerate(reversed(shown)):
        # To the right is better, whichever way the target points; 1 is the target.
        value = row.ratio / row.target if row.sense == "least" else row.target / row.ratio
        axis.barh(place, value, color="#2d77b3" if row.passed else "#c2410c", height=0.6)
        axis.text(value + 0.02, place, f"{row.ratio:.2f}", va="center", fontsize=8)
    axis.axvline(1.0, color="#1b2430", linewidth=1)
    axis.set_yticks(range(len(shown)), [f"{row.group[:34]}: {row.what}"[:70] for row in reversed(shown)], fontsize=7)
    axis.set_xlabel("measured relative to the target (right of the line: met)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)
