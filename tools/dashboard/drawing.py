"""Draw widgets on the grid of 24 columns with matplotlib."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import dates
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from tools.dashboard.definition import Alarms, Graph, GridPosition, Text, Widget
from tools.dashboard.series import Series

# Inches of a grid unit, and pixels of an inch.
UNIT_WIDTH, UNIT_HEIGHT, DPI = 0.62, 0.36, 84
# Of the file, so that it stays small.
COLORS = 96
_STATES = {"OK": "#2e7d32", "ALARM": "#c62828", "INSUFFICIENT_DATA": "#757575"}
_TILES_IN_A_ROW = 6
_MAX_LEGENDS = 8
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def draw(
    widgets: Sequence[Widget],
    read: Callable[[Graph], list[Series]],
    states: Mapping[str, str],
    span: tuple[datetime, datetime],
    output: Path,
) -> None:
    """Write the picture.

    Parameters
    ----------
    read
        Returns the lines of a graph.
    states
        Of the alarms, by name.
    """
    rows = max(widget.place.y + widget.place.height for widget in widgets)
    size = (24 * UNIT_WIDTH, rows * UNIT_HEIGHT)
    with mpl.rc_context({"font.size": 7.5, "axes.titlesize": 8.5, "axes.titleweight": "bold"}):
        figure = Figure(figsize=size, dpi=DPI, facecolor="white")
        FigureCanvasAgg(figure)
        for widget in widgets:
            match widget:
                case Text():
                    _text(figure, widget, rows)
                case Alarms():
                    _alarms(figure, widget, states, rows)
                case Graph():
                    _graph(figure, widget, read(widget), span, rows)
        buffer = BytesIO()
        figure.savefig(buffer, format="png")
    output.parent.mkdir(parents=True, exist_ok=True)
    Image.open(buffer).convert("RGB").quantize(COLORS).save(output, optimize=True)


def _axes(figure: Figure, place: GridPosition, rows: int, inside: tuple[float, float, float, float]) -> Any:
    """Axes in a place of the grid, ``inside`` of it in shares of its size: left, bottom, width, height."""
    left, bottom, width, height = inside
    x, y = place.x / 24, 1 - (place.y + place.height) / rows
    w, h = place.width / 24, place.height / rows
    return figure.add_axes((x + left * w, y + bottom * h, width * w, height * h))


def _text(figure: Figure, text: Text, rows: int) -> None:
    axes = _axes(figure, text.place, rows, (0.01, 0, 0.98, 1))
    axes.set_axis_off()
    lines = text.markdown.splitlines()
    for number, line in enumerate(lines):
        level = len(line) - len(line.lstrip("#"))
        plain = _LINK.sub(r"\1", line.lstrip("# ")).replace("`", "").replace("**", "")
        y = 1 - (number + 0.5) / len(lines)
        weight, size = ("bold", {1: 14, 2: 11}.get(level, 9)) if level else ("normal", 8)
        axes.text(0, y, plain, weight=weight, size=size, va="center", color="#16324f" if level else "#333333")
        if level == 2:
            axes.axhline(0.02, color="#16324f", linewidth=0.8)


def _alarms(figure: Figure, alarms: Alarms, states: Mapping[str, str], rows: int) -> None:
    axes = _axes(figure, alarms.place, rows, (0.01, 0.04, 0.98, 0.92))
    axes.set_axis_off()
    tiles = -(-len(alarms.names) // _TILES_IN_A_ROW)
    axes.set(xlim=(0, _TILES_IN_A_ROW), ylim=(tiles, -0.8))
    axes.text(0, -0.4, alarms.title, weight="bold", size=8.5, va="center")
    for number, name in enumerate(alarms.names):
        row, column = divmod(number, _TILES_IN_A_ROW)
        state = states.get(name, "INSUFFICIENT_DATA")
        box = mpl.patches.Rectangle((column + 0.02, row + 0.08), 0.96, 0.84, color=_STATES[state])
        axes.add_patch(box)
        mark = "" if state == "OK" else f" ({state.replace('_', ' ').lower()})"
        axes.text(
            column + 0.5, row + 0.5, f"{name}{mark}", color="white", size=7, ha="center", va="center", clip_on=True
        )


def _graph(figure: Figure, graph: Graph, series: Sequence[Series], span: tuple[datetime, datetime], rows: int) -> None:
    twin = any(line.right for line in series)
    axes = _axes(figure, graph.place, rows, (0.13, 0.27, 0.75 if twin else 0.83, 0.58))
    axes.set_title(graph.title, loc="left")
    drawn = [line for line in series if line.values]
    handles = _stacked(axes, drawn) if graph.stacked else _lines(axes, drawn, twin=twin)
    for value, label in graph.limits:
        axes.axhline(value, color="#c62828", linewidth=0.8, linestyle="--")
        axes.text(
            1, value, f"{label} {value:g}", transform=axes.get_yaxis_transform(), ha="right", va="bottom", size=6.5
        )
    if not drawn:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color="#9e9e9e", size=9)
        axes.set_yticks([])
    axes.set_xlim(*span)
    highest = max((max(line.values.values()) for line in drawn if not line.right), default=0.0)
    highest = max([highest, *(value for value, _ in graph.limits)]) if not graph.stacked else axes.get_ylim()[1]
    axes.set_ylim(0, 1.08 * highest or 1)
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=2, maxticks=4))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S", tz=UTC))  # type: ignore[no-untyped-call]
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, color="#dddddd")
    axes.set_axisbelow(True)
    if handles:
        names = [line.label + (" (right)" if line.right else "") for line in drawn]
        axes.legend(
            handles[:_MAX_LEGENDS], names[:_MAX_LEGENDS], loc="upper left", bbox_to_anchor=(-0.12, -0.17),
            ncols=min(4, len(names)), frameon=False, fontsize=7, handlelength=1.2, columnspacing=1.0, borderpad=0,
        )  # fmt: skip


def _lines(axes: Any, series: Sequence[Series], *, twin: bool) -> list[Any]:
    right = axes.twinx() if twin else None
    if right is not None:
        right.spines["top"].set_visible(False)
    handles = []
    for number, line in enumerate(series):
        on = right if line.right and right is not None else axes
        moments = [datetime.fromtimestamp(moment, UTC) for moment in line.values]
        (handle,) = on.plot(
            moments, list(line.values.values()), color=f"C{number}", linewidth=1.3, marker="o", markersize=2,
            linestyle="--" if line.right else "-",
        )  # fmt: skip
        handles.append(handle)
        if line.right:
            on.set_ylim(bottom=0)
    return handles


def _stacked(axes: Any, series: Sequence[Series]) -> list[Any]:
    """Areas on top of each other; a missing value counts as 0, as on the console."""
    moments = sorted({moment for line in series for moment in line.values})
    if not moments:
        return []
    values = [[line.values.get(moment, 0.0) for moment in moments] for line in series]
    handles: list[Any] = axes.stackplot(
        [datetime.fromtimestamp(moment, UTC) for moment in moments], *values, alpha=0.85
    )
    return handles
