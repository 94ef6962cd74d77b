"""The command that compares variants by the traffic that they served: compare-variants."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelkit.cli import options
from modelkit.cli.app import REJECTED, app, examples, guarded
from modelkit.traffic.collection import Traffic, Window
from modelkit.traffic.labels import read_labels
from modelkit.traffic.sources import events
from modelkit.traffic.summary import summarize
from modelkit.traffic.text import as_text
from modelkit.traffic.verdict import Plan

if TYPE_CHECKING:
    from modelkit.traffic.summary import Report

_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_STDIN = Path("-")


class Format(StrEnum):
    """Formats of a report."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


class GroupBy(StrEnum):
    """Grouping of requests into arms."""

    AUTO = "auto"
    ARM = "arm"
    MODEL = "model"


@app.command(
    name="compare-variants",
    epilog=examples(
        "compare-variants --log-group /aws/lambda/loupe-prod --start 7d --labels labels.csv",
        "compare-variants log.json.gz --weights control=90 --weights challenger=10 --format html --output report.html",
        "compare-variants - --by model --format json < log.jsonl",
    ),
)
@guarded
def compare_variants(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Log lines of the function, plain or .gz; - for standard input."),
    ] = None,
    log_group: Annotated[
        list[str] | None, typer.Option(help="Read from this group of CloudWatch Logs; may be repeated.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="From this time on: 2026-11-26T08:00Z, or 90m, 24h, 7d ago.", show_default="all; 24h of a log group"
        ),
    ] = None,
    end: Annotated[str | None, typer.Option(help="Before this time.", show_default="now")] = None,
    region: Annotated[str | None, typer.Option(help="AWS region of the log group.")] = None,
    profile: Annotated[str | None, typer.Option(help="AWS profile of the log group.")] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV: request_id, label; optionally image and unit.")] = None,
    by: Annotated[GroupBy, typer.Option(help="Compare the arms of an experiment, or models.")] = GroupBy.AUTO,
    experiment: Annotated[str | None, typer.Option(help="Which experiment, if the log has several.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The arm to compare the others with.", show_default="the one with most images")
    ] = None,
    weights: Annotated[
        list[str] | None, typer.Option(help="ARM=WEIGHT as deployed, for each arm: checks the sample ratio.")
    ] = None,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Read the metrics (EMF) of the log in place of the request lines.")
    ] = False,
    confidence: Annotated[
        float,
        typer.Option(min=0.5, max=0.9999, help="Of accuracy, all challengers together; of each guardrail."),
    ] = 0.95,
    power: Annotated[float, typer.Option(min=0.5, max=0.9999, help="For the sample size.")] = 0.8,
    min_difference: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Smallest difference of accuracy that matters.")
    ] = 0.02,
    max_latency_ratio: Annotated[
        float, typer.Option(min=0.01, max=100, help="Guardrail: p95 over that of the baseline.")
    ] = 1.2,
    max_error_increase: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Guardrail: more server faults, as a share of the images.")
    ] = 0.01,
    looks: Annotated[int, typer.Option(min=1, max=1000, help="How often you plan to look.")] = 1,
    format_: Annotated[Format, typer.Option("--format", help="Of the report.")] = Format.TEXT,
    output: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
) -> None:
    """Compare arms of an experiment, or models, by the lines that the deployed function logged.

    Exits with 1 if a challenger is worse or violates a guardrail, or if the ratio of the arms is not that of the
    weights.
    """
    if not files and not log_group:
        raise typer.BadParameter("give files, - for standard input, or --log-group")
    if metrics and labels is not None:
        raise typer.BadParameter("--labels needs request lines: metrics have no request ids")
    plan = Plan(confidence, power, min_difference, max_latency_ratio, max_error_increase, looks)
    shares = _weights(weights or [])
    window = Window(_parse_time(start), _parse_time(end))
    traffic = Traffic(read_labels(labels) if labels else None, window, metrics=metrics)
    for path in files or []:
        if path == _STDIN:
            traffic.add(events(sys.stdin.buffer, "standard input", traffic.report))
        else:
            with path.open("rb") as file:
                traffic.add(events(file, path.name, traffic.report))
    if log_group:
        from modelkit.traffic.cloudwatch import client, log_events

        logs = client(region, profile)
        queried = window if window.start is not None else Window(time.time() - _SECONDS["d"], window.end)
        for group in log_group:
            traffic.add(log_events(logs, group, queried, metrics=metrics))
    report = summarize(traffic, plan, by=by, experiment=experiment, baseline=baseline, weights=shares)
    _write(_rendered(report, format_), output)
    if report.rejected:
        raise typer.Exit(REJECTED)


def _rendered(report: Report, format_: Format) -> str:
    if format_ is Format.JSON:
        return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
    if format_ is Format.HTML:
        from modelkit.traffic.page import as_page

        return as_page(report)
    return as_text(report)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    sys.stderr.write(f"{output} is written.\n")


def _weights(items: list[str]) -> dict[str, float] | None:
    pairs = options.bindings(items)
    try:
        weights = {name: float(value) for name, value in pairs.items()}
    except ValueError:
        raise typer.BadParameter("weights are numbers, such as --weights control=90") from None
    if not all(0 <= weight < 1e9 for weight in weights.values()):
        raise typer.BadParameter("weights are 0 or more")
    return weights or None


def _parse_time(text: str | None) -> float | None:
    """Return the seconds since 1970 of a time, or of one so long ago."""
    if text is None:
        return None
    if ago := re.fullmatch(r"(\d{1,6})([mhd])", text.strip()):
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r} must be a time such as 2026-11-26T08:00Z, or 90m, 24h or 7d") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
