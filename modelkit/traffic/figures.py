"""Plots of a report as SVG text."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from modelkit.plots import new_figure, svg_text
from modelkit.traffic.arms import CONFIDENCE_BINS
from modelkit.traffic.inference import two_sided
from modelkit.traffic.names import plain

if TYPE_CHECKING:
    from modelkit.traffic.arms import Arm
    from modelkit.traffic.summary import Report

_COLORS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2")
_MAX_ARMS, _MAX_LABELS = 6, 12


def figures(report: Report) -> list[tuple[str, str]]:
    """Return the plots with their captions: of at most six arms, those with figures to draw."""
    with warnings.catch_warnings():
        # A script that the plots' font lacks: the text is in the page, and the reader's font draws it.
        warnings.simplefilter("ignore", UserWarning)
        return _drawn(report)


def _drawn(report: Report) -> list[tuple[str, str]]:
    arms = report.arms[:_MAX_ARMS]
    drawn = []
    if any(arm.labelled for arm in arms):
        drawn.append((_accuracy(arms, report.plan.confidence), "Accuracy with its interval"))
    if any(arm.latency.count for arm in arms):
        drawn.append((_latency(arms), "Requests of one image that are answered within a time"))
    if any(sum(arm.confidence) for arm in arms):
        drawn.append((_confidence(arms), "Confidence: share of the images"))
    if any(arm.labels for arm in arms):
        drawn.append((_labels(arms), "Label mix: share of the images"))
    return drawn


def _accuracy(arms: tuple[Arm, ...], confidence: float) -> str:
    figure, axes = new_figure(5.6, 0.9 + 0.45 * len(arms))
    z = two_sided(1 - confidence)
    for row, arm in enumerate(arms):
        low, high = arm.accuracy.interval(z)
        if arm.labelled:
            axes.plot([low, high], [row, row], color=_COLORS[row], linewidth=2)
            axes.scatter([arm.right / arm.labelled], [row], s=45, color=_COLORS[row])
    axes.set_yticks(range(len(arms)), [_name(arm) for arm in arms])
    axes.set(ylim=(len(arms) - 0.5, -0.5), xlabel="accuracy")
    return svg_text(figure)


def _latency(arms: tuple[Arm, ...]) -> str:
    figure, axes = new_figure(5.6, 3.6)
    for row, arm in enumerate(arms):
        if points := arm.latency.points():
            values, shares = zip(*points, strict=True)
            axes.step(values, shares, where="post", color=_COLORS[row], label=_name(arm))
    axes.set_xscale("log")
    least, most = axes.get_xlim()
    ticks = [step * 10.0**power for power in range(-4, 10) for step in (1, 2, 5)]
    axes.set_xticks([tick for tick in ticks if least <= tick <= most])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set(ylim=(0, 1.02), xlabel="ms", ylabel="share of the requests")
    axes.legend(frameon=False)
    return svg_text(figure)


def _confidence(arms: tuple[Arm, ...]) -> str:
    figure, axes = new_figure(5.6, 3.6)
    edges = np.linspace(0, 1, CONFIDENCE_BINS + 1)
    for row, arm in enumerate(arms):
        if total := sum(arm.confidence):
            shares = [number / total for number in arm.confidence]
            axes.stairs(shares, edges, color=_COLORS[row], label=_name(arm))
    axes.set(xlim=(0, 1), xlabel="probability of the label", ylabel="share of the images")
    axes.legend(frameon=False)
    return svg_text(figure)


def _labels(arms: tuple[Arm, ...]) -> str:
    totals: dict[str, int] = {}
    for arm in arms:
        for label, number in arm.labels.items():
            totals[label] = totals.get(label, 0) + number
    names = sorted(totals, key=lambda label: (-totals[label], label))[:_MAX_LABELS]
    figure, axes = new_figure(5.6, 1.2 + 0.35 * len(names))
    height = 0.8 / len(arms)
    for row, arm in enumerate(arms):
        whole = sum(arm.labels.values()) or 1
        places = np.arange(len(names)) + row * height
        axes.barh(places, [arm.labels[name] / whole for name in names], height, color=_COLORS[row], label=_name(arm))
    axes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, [_escaped(plain(name)) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("share of the images")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return svg_text(figure)


def _name(arm: Arm) -> str:
    name = _escaped(plain(arm.name))
    # A name that begins with an underscore has no entry in a legend.
    return f" {name}" if name.startswith("_") else name


def _escaped(text: str) -> str:
    """Return a text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
