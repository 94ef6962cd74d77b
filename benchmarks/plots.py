"""The plots of docs/benchmarks.md, as reproducible SVG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt

from benchmarks.timing import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

plt.rcParams["svg.hashsalt"] = "loupe"
MET, NOT_MET, INK = "#2d77b3", "#c2410c", "#1b2430"
STAGE_COLOURS = ("#94a3b8", "#2d77b3", "#5fa8d3", "#c2410c", "#64748b", "#cbd5e1")


def targets(target: Path, rows: Sequence[Row]) -> None:
    """Draw a bar for each row with a target, relative to it; right of the line is met in either direction."""
    bars = [
        (f"{row.group[:34]}: {row.what}"[:70], row.ratio, row.target, row)
        for row in reversed(rows)
        if row.ratio is not None and row.target is not None and row.unit == "x"
    ]
    figure, axis = plt.subplots(figsize=(9, 0.42 * len(bars) + 1))
    for position, (_, ratio, aim, row) in enumerate(bars):
        value = ratio / aim if row.sense == "least" else aim / ratio
        axis.barh(position, value, color=MET if row.passed else NOT_MET, height=0.6)
        axis.text(value + 0.02, position, f"{ratio:.2f}", va="center", fontsize=8)
    axis.axvline(1.0, color=INK, linewidth=1)
    axis.set_yticks(range(len(bars)), [title for title, *_ in bars], fontsize=7)
    axis.set_xlabel("measured relative to the target (right of the line: met)")
    _save(figure, target)


def stages(target: Path, durations_by_size: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]) -> None:
    """Draw a bar for each image size, divided into stages."""
    figure, axes = plt.subplots(len(durations_by_size), 1, figsize=(9, 1.1 * len(durations_by_size) + 1.4))
    for axis, (size, durations) in zip(axes, durations_by_size.items(), strict=True):
        begin = 0.0
        for colour, (name, title) in zip(STAGE_COLOURS, titles.items(), strict=True):
            axis.barh(0, durations[name], left=begin, color=colour, label=title)
            if durations[name] > 0.06 * sum(durations.values()):
                axis.text(
                    begin + durations[name] / 2, 0, f"{durations[name]:.1f}", ha="center", va="center", fontsize=8
                )
            begin += durations[name]
        axis.set_yticks([0], [size])
        axis.set_xlim(0, begin)
        axis.set_xlabel("ms" if axis is axes[-1] else "")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="upper center", ncols=2, fontsize=7, frameon=False)
    _save(figure, target, top=0.72)


def costs(
    target: Path, memory: Sequence[int], durations: Sequence[float], dollars: Sequence[float], api: float
) -> None:
    """Draw duration and price by memory size."""
    figure, axis = plt.subplots(figsize=(9, 3.4))
    axis.plot(memory, durations, color=MET, marker="o")
    axis.set_xlabel("memory, MB")
    axis.set_ylabel("billed duration, ms (1 MP)", color=MET)
    axis.set_ylim(0, None)
    price = axis.twinx()
    price.plot(memory, dollars, color=NOT_MET, marker="s")
    price.axhline(api, color=INK, linewidth=1, linestyle=":")
    price.text(memory[-1], api, "API Gateway's share", ha="right", va="bottom", fontsize=8)
    price.set_ylabel("US$ for a million requests (Lambda)", color=NOT_MET)
    price.set_ylim(0, None)
    _save(figure, target)


def _save(figure: Figure, target: Path, top: float = 1.0) -> None:
    for axis in figure.axes:
        axis.spines[["top"]].set_visible(False)
    figure.tight_layout(rect=(0, 0, 1, top))
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)
