"""A report as one self-contained HTML page. All texts of the log are escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from modelkit.report import html_page
from modelkit.traffic.figures import figures
from modelkit.traffic.sentences import conclusions, notes, ratio_sentence
from modelkit.traffic.tables import tables
from modelkit.traffic.text import title

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelkit.traffic.summary import Report
    from modelkit.traffic.tables import Table


def as_page(report: Report) -> str:
    """Return the page."""
    return html_page(title(report), "\n".join(_parts(report)))


def _parts(report: Report) -> Iterator[str]:
    if len(report.arms) == 1:
        yield "<p>There is one arm only, so nothing is compared.</p>"
    if report.ratio is not None:
        yield f"<p>{escape(ratio_sentence(report.ratio))}</p>"
    for comparison in report.comparisons:
        first, *further = conclusions(comparison)
        yield f"<h2>{escape(first)}</h2>"
        yield _list(further)
    if drawn := figures(report):
        plots = "".join(f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" for svg, caption in drawn)
        yield f'<h2>Plots</h2><div class="plots">{plots}</div>'
    for table in tables(report):
        yield f"<h2>{escape(table.title)}</h2>{_table(table)}"
    if lines := notes(report):
        yield f"<h2>Notes</h2>{_list(lines)}"


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _table(table: Table) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
