"""The tables of a report, for text and for HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelkit.traffic.inference import two_sided
from modelkit.traffic.names import plain

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from modelkit.traffic.arms import Arm
    from modelkit.traffic.sketch import QuantileSketch
    from modelkit.traffic.summary import Report

_MAX_ROWS = 15
_STAGES = ("load", "source", "cache", "decode", "tensor", "model")


class Table(NamedTuple):
    """A title, a head and rows of as many cells."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(report: Report) -> list[Table]:
    """Return the tables that have rows: one column for each arm, the baseline first."""
    arms, z = report.arms, two_sided(1 - report.plan.confidence)
    level = f"{report.plan.confidence * 100:g} %"

    def row(name: str, cell: Callable[[Arm], str]) -> tuple[str, ...]:
        return (name, *(cell(arm) for arm in arms))

    traffic = [
        row("requests", lambda arm: f"{arm.requests:,}"),
        row("images", lambda arm: f"{arm.images:,}"),
        row("cold starts", lambda arm: f"{arm.cold_starts:,}"),
        row("server faults", lambda arm: f"{arm.faults:,} ({arm.faulty.value:.3%})".replace("%", " %")),
        row("mean confidence", lambda arm: "-" if arm.mean_confidence is None else f"{arm.mean_confidence:.3f}"),
    ]
    if any(arm.cache_hits for arm in arms):
        traffic.append(row("from the cache", lambda arm: f"{arm.cache_hits:,}"))
    if any(arm.labelled for arm in arms):
        traffic += [
            row("labelled", lambda arm: f"{arm.labelled:,}"),
            row("accuracy", lambda arm: f"{arm.right / arm.labelled:.2%}".replace("%", " %") if arm.labelled else "-"),
            row(f"{level} interval", lambda arm: _span(arm, z)),
        ]
    if any(arm.unanswered for arm in arms):
        traffic.append(row("labelled without an answer", lambda arm: f"{arm.unanswered:,}"))
    head = tuple(plain(arm.name) for arm in arms)
    latency = [row("all, one image", lambda arm: _quantiles(arm.latency))]
    if any(arm.batches for arm in arms):
        latency.append(row("a batch", lambda arm: _quantiles(arm.batch_latency)))
    names = dict.fromkeys([*_STAGES, *sorted(name for arm in arms for name in arm.stages)])
    measured = [name for name in names if any(name in arm.stages for arm in arms)][:_MAX_ROWS]
    latency += [(f"stage {plain(name)}", *(_stage(arm, name) for arm in arms)) for name in measured]
    models = [(plain(name), *(_part(arm.models, name) for arm in arms)) for name in _names(arms, "models")]
    labels = [(plain(name), *(_part(arm.labels, name) for arm in arms)) for name in _names(arms, "labels")]
    problems = [(plain(name), *(f"{arm.problems[name]:,}" for arm in arms)) for name in _names(arms, "problems")]
    tables = [
        Table("Traffic", ("", *head), traffic if arms else []),
        Table("Models", ("", *head), models if report.experiment is not None else []),
        Table("Latency, ms: p50 / p95 / p99", ("", *head), latency if arms else []),
        Table("Images by label", ("", *head), labels),
        Table("Images that failed, by code", ("", *head), problems),
        _guardrails(report),
        _agreement(report, level),
        _shadow(report, level, z),
    ]
    return [table for table in tables if table.rows]


def _guardrails(report: Report) -> Table:
    rows: list[tuple[str, ...]] = []
    for comparison in report.comparisons:
        for guardrail in comparison.guardrails:
            figures = (guardrail.value, *guardrail.bounds)
            value, low, high = ("-" if figure is None else f"{figure:.4g}" for figure in figures)
            name = f"{plain(comparison.challenger.name)}: {guardrail.name}"
            rows.append((name, value, f"{low} to {high}", f"{guardrail.limit:g}", guardrail.status))
    return Table("Guardrails", ("", "value", "one-sided bounds", "limit", "status"), rows)


def _agreement(report: Report, level: str) -> Table:
    rows: list[tuple[str, ...]] = []
    for comparison in report.comparisons:
        if comparison.agreement.total:
            low, high = comparison.agreement.interval(two_sided(comparison.alpha))
            share = f"{comparison.agreement.value:.2%} ({low:.2%} to {high:.2%})".replace("%", " %")
            pair = f"{plain(comparison.challenger.name)}, {plain(comparison.baseline.name)}"
            rows.append((pair, f"{int(comparison.agreement.total):,}", share))
    return Table("Agreement on the same image", ("arms", "images", f"same label ({level})"), rows)


def _shadow(report: Report, level: str, z: float) -> Table:
    rows: list[tuple[str, ...]] = []
    for (champion, challenger), test in sorted(report.traffic.shadow.items())[:_MAX_ROWS]:
        low, high = test.agreement.interval(z)
        share = f"{test.agreement.value:.2%} ({low:.2%} to {high:.2%})".replace("%", " %")
        mean = f"{test.difference_sum / test.compared:.4f}"
        runs = f"{_quantiles(test.challenger)}; {_quantiles(test.champion)}"
        rows.append((f"{plain(challenger)}, {plain(champion)}", f"{test.compared:,}", share, mean, runs))
    for (challenger, code), number in sorted(report.traffic.shadow_failures.items())[:_MAX_ROWS]:
        rows.append((f"{plain(challenger)}: {plain(code)}", f"{number:,}", "failed", "", ""))
    head = ("challenger, champion", "images", f"same label ({level})", "mean difference of probability", "runs, ms")
    return Table("Shadow test", head, rows)


def _names(arms: tuple[Arm, ...], counter: str) -> list[str]:
    """Return the names that most images have, over all arms."""
    total: dict[str, int] = {}
    for arm in arms:
        for name, number in getattr(arm, counter).items():
            total[name] = total.get(name, 0) + number
    return sorted(total, key=lambda name: (-total[name], name))[:_MAX_ROWS]


def _part(counter: Counter[str], name: str) -> str:
    total = sum(counter.values())
    return f"{counter[name]:,} ({counter[name] / total:.1%})".replace("%", " %") if total else "-"


def _quantiles(sketch: QuantileSketch) -> str:
    values = [sketch.quantile(share) for share in (0.5, 0.95, 0.99)]
    return " / ".join("-" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in values)


def _stage(arm: Arm, name: str) -> str:
    return _quantiles(arm.stages[name]) if name in arm.stages else "-"


def _span(arm: Arm, z: float) -> str:
    low, high = arm.accuracy.interval(z)
    return f"{low:.2%} to {high:.2%}".replace("%", " %") if arm.labelled else "-"
