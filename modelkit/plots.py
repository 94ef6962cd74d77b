"""Plots of an evaluation as SVG text, the same for the same figures."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from modelkit.metrics import confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from modelkit.evaluation import Comparison, Quality

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "loupe",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_INK, _ACCENT, _PALE = "#1f2933", "#2563eb", "#cbd5e1"


def confusion(quality: Quality) -> str:
    """Draw the confusion matrix: rows are the truth."""
    labels = quality.card.output.labels
    matrix = confusion_matrix(quality.readings.truth, quality.readings.predicted, len(labels))
    figure, axes = new_figure(4.2, 3.6)
    axes.imshow(matrix, cmap="Blues", vmin=0)
    axes.set_xticks(range(len(labels)), labels, rotation=45 if len(labels) > 3 else 0)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    if len(labels) <= 20:
        for (row, column), count in np.ndenumerate(matrix):
            dark = count > matrix.max() / 2
            axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else _INK)
    return svg_text(figure)


def reliability(quality: Quality) -> str:
    """Draw accuracy over confidence; the diagonal is perfect calibration."""
    figure, axes = new_figure(4.2, 3.6)
    axes.plot([0, 1], [0, 1], color=_PALE, linewidth=1)
    rows = quality.reliability
    largest = max(row["count"] for row in rows)
    axes.scatter(
        [row["confidence"] for row in rows], [row["accuracy"] for row in rows],
        s=[20 + 180 * row["count"] / largest for row in rows], color=_ACCENT, alpha=0.8,
    )  # fmt: skip
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy (area: images)")
    return svg_text(figure)


def shift(comparison: Comparison) -> str:
    """Draw the probability of the reference's label under both models."""
    figure, axes = new_figure(4.2, 3.6)
    index = 1 if len(comparison.model.card.output.labels) == 2 else None
    first, second = comparison.against.readings.probabilities, comparison.model.readings.probabilities
    rows = np.arange(len(first))
    columns = np.full(len(first), index) if index is not None else first.argmax(axis=1)
    axes.plot([0, 1], [0, 1], color=_PALE, linewidth=1)
    differ = comparison.disagreeing
    axes.scatter(first[rows, columns], second[rows, columns], s=12, color=_ACCENT, alpha=0.6)
    axes.scatter(
        first[rows, columns][differ], second[rows, columns][differ], s=30, color="#dc2626", label="other label"
    )
    if differ.any():
        axes.legend(frameon=False)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=comparison.against.card.name, ylabel=comparison.model.card.name)
    return svg_text(figure)


def size_against_latency(points: Sequence[tuple[str, float, float]], *, relative: bool = False) -> str:
    """Draw models as points: ``(name, megabytes, milliseconds)``, or shares of a base; lower left is better."""
    figure, axes = new_figure(5.6, 3.6)
    axes.scatter([point[1] for point in points], [point[2] for point in points], s=45, color=_ACCENT)
    largest, slowest = max(point[1] for point in points), max(point[2] for point in points)
    free = 0.0
    for name, megabytes, milliseconds in sorted(points, key=lambda point: point[2]):
        # Each name stands at its point's height, or as far above the name below it as a line of text needs.
        height = max(milliseconds, free)
        free = height + 0.07 * slowest
        line = {"arrowstyle": "-", "color": _PALE}
        axes.annotate(
            name, (megabytes, milliseconds), (megabytes * 1.1 + 0.02 * largest, height), fontsize=9, va="center",
            arrowprops=line,
        )  # fmt: skip
    if not relative and largest > 8 * min(point[1] for point in points):
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, largest * 1.35)
    axes.set_ylim(0, max(slowest, free) * 1.2)
    if relative:
        axes.set(xlabel="size, float32 = 1", ylabel="time of one image, float32 = 1")
    else:
        axes.set(xlabel="size, MB", ylabel="one image, ms")
    return svg_text(figure)


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of this size in inches, and its axes."""
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    return figure, axes


def svg_text(figure: Figure) -> str:
    """Return a figure as an SVG element, and close it."""
    text = StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
    plt.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]
