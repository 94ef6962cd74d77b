"""A report as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelkit.traffic.names import plain
from modelkit.traffic.sentences import conclusions, notes, ratio_sentence
from modelkit.traffic.tables import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelkit.traffic.summary import Report
    from modelkit.traffic.tables import Table


def as_text(report: Report) -> str:
    """Return the text: conclusions first, then the figures, then notes on the data."""
    return "\n".join(_lines(report)) + "\n"


def title(report: Report) -> str:
    """Return what is compared."""
    return f"Experiment {plain(report.experiment)}" if report.experiment is not None else "Models"


def _lines(report: Report) -> Iterator[str]:
    yield f"{title(report)}: {len(report.arms)} {'arm' if len(report.arms) == 1 else 'arms'}"
    if len(report.arms) == 1:
        yield "There is one arm only, so nothing is compared."
    if report.ratio is not None:
        yield f"- {ratio_sentence(report.ratio)}"
    for comparison in report.comparisons:
        first, *further = conclusions(comparison)
        yield ""
        yield first
        yield from (f"- {sentence}" for sentence in further)
    for table in tables(report):
        yield ""
        yield table.title
        yield from _table(table)
    if lines := notes(report):
        yield ""
        yield from (f"- {line}" for line in lines)


def _table(table: Table) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    for row in (table.head, *table.rows):
        first, *cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {first}  {'  '.join(cells)}".rstrip()
