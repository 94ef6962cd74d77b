"""The table and the plot of a benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tools.bench_aws.measure import Measurement


_COLUMNS = (
    "model",
    "architecture",
    "MiB",
    "SnapStart",
    "first start, ms",
    "cold start, ms (n)",
    "warm p50, ms",
    "warm p95, ms (n)",
    "billed, ms",
    "US$ per million",
    "peak, MB",
)
_COLUMNS_TEXT = """\
- first start: round trip of the first invocation after the deployment, when no host has the image yet; one a row.
- cold start: INIT (with SnapStart: restore) plus the request, median of new execution environments of one version.
- warm, billed: Lambda's own figures of requests in a row.
- price: duration and requests at list price, without API Gateway."""


def markdown(measurements: Sequence[Measurement], made_with: Mapping[str, str], note: str, plot: str) -> str:
    """Return the page: measurements, versions, and the meaning of the columns."""
    lines = [
        "# Benchmarks on AWS",
        "",
        "Written by `make bench-aws`.",
        *(["", f"**{note}**"] if note else []),
        "",
        *(f"- {name}: {value}" for name, value in made_with.items()),
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "|" + "---|" * len(_COLUMNS),
        *map(_row, measurements),
        "",
        f"![Price per million requests against the warm 95th percentile]({plot})",
        "",
        _COLUMNS_TEXT,
        "",
        "Processors, as the functions logged them:",
        "",
        *(f"- {processor}" for processor in sorted({measurement.processor for measurement in measurements})),
    ]
    throttled = sum(measurement.throttled for measurement in measurements)
    if throttled:
        lines += [
            "",
            f"{throttled} invocations were throttled by the account's concurrency quota: n is smaller for it.",
        ]
    return "\n".join(lines) + "\n"


def draw(measurements: Sequence[Measurement], path: Path) -> None:
    """Plot price against latency, a line for each model and architecture, a point for each memory size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    groups: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        subject = measurement.subject
        name = f"{subject.model}, {subject.architecture}{', SnapStart' if subject.snap_start else ''}"
        groups.setdefault(name, []).append(measurement)
    for name, group in groups.items():
        axes.plot([m.warm_p95_ms for m in group], [m.usd_per_million for m in group], "o-", label=name)
        for measurement in group:
            point = (measurement.warm_p95_ms, measurement.usd_per_million)
            axes.annotate(f"{measurement.subject.memory_mib}", point, textcoords="offset points", xytext=(5, 5))
    axes.set_xlabel("warm request, p95 (ms)")
    axes.set_ylabel("US$ per million requests")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _row(measurement: Measurement) -> str:
    subject = measurement.subject
    cold = "-" if measurement.cold_ms is None else f"{measurement.cold_ms:.0f} ({len(measurement.cold)})"
    peak = max(report.memory for report in measurement.warm)
    cells = (
        subject.model,
        subject.architecture,
        subject.memory_mib,
        "yes" if subject.snap_start else "no",
        f"{measurement.first_ms:.0f}",
        cold,
        f"{measurement.warm_p50_ms:.1f}",
        f"{measurement.warm_p95_ms:.1f} ({len(measurement.warm)})",
        f"{measurement.billed_ms:.0f}",
        f"{measurement.usd_per_million:.2f}",
        peak,
    )
    return f"| {' | '.join(map(str, cells))} |"
