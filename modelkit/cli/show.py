"""Results in the terminal: tables for people, JSON for programs, progress on standard error."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from loupe.processor import describe
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from modelkit.label_forms import join_labels
from modelkit.tasks import not_scores, other_task, scores_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from modelkit.checks import Check
    from modelkit.evaluation import Comparison, Quality
    from modelkit.inspection import Inspection, Tensor
    from modelkit.quantize.trials import Outcome
    from modelkit.reading import Progress as Report

console = Console(highlight=False, soft_wrap=True)
# Of a model with many labels, what one screen shows.
_SHOWN_CONFUSIONS = 10
_SHOWN_LABELS = 10
_SHOWN_CLASSES = 20
_LABEL_WIDTH = 48
_PAIR_WIDTH = 32
_MARKS = {"pass": "[green]pass[/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}


def as_json(value: Any) -> None:
    """Print a value as JSON, alone on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


@contextmanager
def progress() -> Iterator[Report]:
    """Yield a function that shows progress on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bars.update(task, visible=False)
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total, visible=True)

        yield report


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title or None, title_justify="left", title_style="bold", header_style="", box=None, pad_edge=False
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def checks(title: str, results: Iterable[Check]) -> None:
    """Show checks, one per line."""
    console.print(title, style="bold")
    for check in results:
        console.print(f"  {_MARKS[check.status]}  {check.name}: ", end="")
        console.print(check.detail, markup=False)
        if check.fix and check.status != "pass":
            console.print(f"        -> {check.fix}", markup=False, style="dim")


def _tensor(kind: str, value: Tensor) -> str:
    return f"{kind} {value.name!r}: {value.dtype} [{', '.join(map(str, value.shape))}]"


def inspection(inspected: Inspection) -> None:
    """Show an inspection."""
    lines = [_tensor("input", value) for value in inspected.inputs]
    for value in inspected.outputs:
        end, reason = inspected.ends[value.name], not_scores(value)
        lines += [_tensor("output", value)]
        lines += [f"  not read: {reason}" if reason else f"  read as: {end.kind or 'unknown'}. {end.reason}"]
    image = inspected.image
    if image is not None:
        size = f"{image.width or '?'}x{image.height or '?'} pixels, {image.channels or '?'} channel(s)"
        lines.append(f"image: {size}, layout {image.layout or 'unknown'}. {image.reason}")
    operators = ", ".join(f"{count} {name}" for name, count in inspected.operators.items())
    opsets = ", ".join(f"{domain} {number}" for domain, number in inspected.opsets.items())
    cost = (
        f"{inspected.multiply_adds / 1e6:,.1f} million"
        if inspected.multiply_adds is not None
        else "unknown (open shapes)"
    )
    lines += [
        f"opset: {opsets} (IR {inspected.ir_version}{', by ' + inspected.producer if inspected.producer else ''})",
        f"operators: {operators}",
        f"parameters: {inspected.parameters:,}",
        f"multiply-adds for one image: {cost}",
        f"bytes read at load: {inspected.load_bytes:,}",
    ]
    if task := other_task(inspected, scores_output(inspected)):
        lines.insert(0, f"this looks like {task}")
    lines += [f"on add: {note}" for note in inspected.rewritten]
    if inspected.labels:
        lines.append(
            f"labels in the graph: {join_labels(inspected.labels[:10])}{', ...' if len(inspected.labels) > 10 else ''}"
        )
    console.print(str(inspected.path), style="bold", markup=False)
    for line in lines:
        console.print(f"  {line}", markup=False)
    if inspected.obstacle:
        console.print(f"  {inspected.path.name} {inspected.obstacle}", markup=False, style="red")
    for file in inspected.external:
        if file.state == "whole":
            console.print(f"  external data: {file.location}, {file.actual_bytes:,} bytes, whole", markup=False)
        else:
            console.print(f"  external data: {file.error_message(inspected.path.name)}", markup=False, style="red")


def quality(measured: Quality) -> None:
    """Show one model's figures."""
    value = measured.to_json()
    console.print(f"{value['model']} {value['version']} ({value['variant']})", style="bold", markup=False)
    cost = value["cost"]
    console.print(
        f"  {value['pictures']} images; {cost['run_ms']:.2f} ms per image, {cost['load_ms']:.0f} ms to load "
        f"(one thread, {value['processor']}), {cost['bytes'] / 1e6:.2f} MB",
        markup=False,
    )
    for name in value["unreadable"]:
        console.print(f"  not readable, left out: {name}", markup=False, style="yellow")
    if "exact_match" in value:
        _multilabel(value)
    if "accuracy" not in value:
        return
    low, high = value["accuracy_interval_95"]
    console.print(f"  accuracy {value['accuracy']:.4f} (95 %: {low:.4f} to {high:.4f}), ECE {value['ece']:.4f}")
    if "confusion" in value:
        _matrix(value)
    else:
        _folded(value)


def _multilabel(value: dict[str, Any]) -> None:
    """Show a multilabel model's figures; of many labels the weakest."""
    console.print(
        f"  mAP {_share(value['mean_average_precision'])}, F1 {_share(value['f1_micro'])} (micro) "
        f"{_share(value['f1_macro'])} (macro), all labels right {value['exact_match']:.3f}"
    )
    present = {label: figures for label, figures in value["classes"].items() if figures["count"] or figures["given"]}
    weakest = sorted(present.items(), key=lambda pair: pair[1]["f1"] if pair[1]["f1"] is not None else 0.0)
    table = _table("", "label", "images", "given", "average precision", "F1")
    for label, figures in weakest[:_SHOWN_CLASSES]:
        shares = (_share(figures["average_precision"]), _share(figures["f1"]))
        table.add_row(_short(label), str(figures["count"]), str(figures["given"]), *shares)
    console.print(table)
    if len(present) > _SHOWN_CLASSES:
        console.print(f"  {len(present) - _SHOWN_CLASSES} more labels; --json and --html have all of them")


def _matrix(value: dict[str, Any]) -> None:
    """Show the confusion matrix with precision and recall."""
    labels = list(value["classes"])
    table = _table("", "truth \\ predicted", *labels, "precision", "recall")
    for label, row in zip(labels, value["confusion"], strict=True):
        figures = value["classes"][label]
        table.add_row(label, *map(str, row), _share(figures["precision"]), _share(figures["recall"]))
    console.print(table)


def _folded(value: dict[str, Any]) -> None:
    """Show the most frequent mistakes and the weakest labels of a model with many labels."""
    mistakes = value["top_confusions"][:_SHOWN_CONFUSIONS]
    if mistakes:
        table = _table("Most frequent mistakes", "truth", "predicted", "images")
        for item in mistakes:
            table.add_row(*(_short(item[key], _PAIR_WIDTH) for key in ("truth", "predicted")), str(item["count"]))
        console.print(table)
    present = {label: figures for label, figures in value["classes"].items() if figures["count"]}
    weakest = sorted(present.items(), key=lambda pair: (pair[1]["recall"], -pair[1]["count"]))
    table = _table("Labels of least recall", "label", "images", "precision", "recall")
    for label, figures in weakest[:_SHOWN_LABELS]:
        table.add_row(_short(label), str(figures["count"]), _share(figures["precision"]), _share(figures["recall"]))
    console.print(table)
    hidden, absent = len(present) - len(weakest[:_SHOWN_LABELS]), len(value["classes"]) - len(present)
    console.print(f"  {hidden} more labels with images, {absent} without any; --json and --html have all of them")


def _short(label: str, width: int = _LABEL_WIDTH) -> str:
    return label if len(label) <= width else f"{label[: width - 3]}..."


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def comparison(compared: Comparison) -> None:
    """Show two models side by side."""
    value = compared.to_json()
    console.print(f"{compared.model.card.name} against {value['against']}", style="bold", markup=False)
    console.print(
        f"  agreement {value['agreement']:.4f} ({value['disagreements']} disagreement(s)); "
        f"|difference of probability| at most {value['max_probability_shift']:.4f}, "
        f"mean {value['mean_probability_shift']:.5f}"
    )
    console.print(
        f"  size {value['size_ratio']:.3f}x, runs {value['speed_up']:.2f}x as fast, loads "
        f"{value['load_speed_up']:.2f}x as fast"
    )
    if "mcnemar" in value:
        test = value["mcnemar"]
        console.print(
            f"  McNemar: only {compared.model.card.name} right {test['only_first']}, only {value['against']} right "
            f"{test['only_second']}, p = {test['p_value']:.3f}"
        )


def trials(outcome: Outcome) -> None:
    """Show trials, best first."""
    table = _table(
        f"Tried, judged on {outcome.judged_images} images",
        "scheme", "MB", "size", "speed", "load", "agree", "max |dp|",
        "score", "verdict",
    )  # fmt: skip
    for trial in sorted(outcome.trials, key=lambda trial: trial.score):
        if trial.comparison is None:
            continue
        value = trial.comparison.to_json()
        table.add_row(
            trial.recipe.title,
            f"{trial.comparison.model.cost.bytes / 1e6:.2f}",
            f"{value['size_ratio']:.3f}x",
            f"{value['speed_up']:.2f}x",
            f"{value['load_speed_up']:.1f}x",
            f"{value['agreement']:.3f}",
            f"{value['max_probability_shift']:.4f}",
            f"{trial.score:.3f}",
            trial.reason or "passes",
        )
    console.print(table)
    for trial in outcome.trials:
        if trial.comparison is None:
            what = "failed" if trial.tried else "not tried"
            console.print(f"{what}: {trial.recipe.title}: {trial.reason}", markup=False)
    console.print(f"Timed on {describe()}.", markup=False)
    if bound := [trial.recipe.title for trial in outcome.trials if not trial.transferable]:
        console.print(
            f"Not transferable to Lambda: the faster runs of {', '.join(bound)}. They were timed with VNNI, and "
            "Lambda's x86 hosts have AVX2 without it. Sizes are. Measure there with 'make bench-aws'.",
            markup=False,
            style="yellow",
        )
    console.print(outcome.reason, markup=False)


def plain(lines: Sequence[str]) -> None:
    """Print plain lines."""
    for line in lines:
        console.print(line, markup=False)
