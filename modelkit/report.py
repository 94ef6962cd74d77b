"""An evaluation as one self-contained HTML page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from modelkit import plots
from modelkit.evaluation import MATRIX_LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from modelkit.evaluation import Comparison, Quality

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: right; padding: .25rem .75rem; border-bottom: 1px solid #cbd5e1; }}
th:first-child, td:first-child {{ text-align: left; }}
.plots {{ display: flex; flex-wrap: wrap; gap: 1rem; }} figure {{ margin: 0; }} figcaption {{ color: #52606d; }}
svg {{ max-width: 100%; height: auto; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def write_report(path: Path, quality: Quality, comparison: Comparison | None) -> None:
    """Write the page for one model, or for two side by side."""
    title = f"{quality.card.name} {quality.card.version}"
    if comparison is not None:
        title += f" against {comparison.against.card.name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html_page(title, "\n".join(_body(quality, comparison))), encoding="utf-8")


def html_page(title: str, body: str) -> str:
    """Return a page with this title, which is escaped, and this HTML."""
    return _PAGE.format(title=escape(title), body=body)


def _body(quality: Quality, comparison: Comparison | None) -> list[str]:
    models = [quality] if comparison is None else [comparison.model, comparison.against]
    parts = [_summary(models)]
    if comparison is not None:
        parts += ["<h2>Side by side</h2>", _pairs(comparison)]
    points = [(model.card.name, model.cost.bytes / 1e6, model.cost.run_ms) for model in models]
    figures = [(plots.size_against_latency(points), "Size and time of one image, one thread")]
    if comparison is not None:
        figures.append((plots.shift(comparison), "Probability shift: every image under both models"))
    for model in models:
        if model.readings.labelled and not model.card.output.multilabel:
            if len(model.card.output.labels) <= MATRIX_LABELS:
                figures.append((plots.confusion(model), f"Confusion, {model.card.name}"))
            figures.append((plots.reliability(model), f"Reliability, {model.card.name}"))
    drawn = "".join(f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" for svg, caption in figures)
    parts += ["<h2>Plots</h2>", f'<div class="plots">{drawn}</div>']
    for model in models:
        if model.readings.labelled:
            parts += [f"<h2>Classes, {escape(model.card.name)}</h2>", *_classes(model)]
    return parts


def _summary(models: list[Quality]) -> str:
    rows = []
    for model in models:
        value = model.to_json()
        interval = value.get("accuracy_interval_95")
        judged = f"{value['accuracy']:.4f} ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "no labels"
        if "exact_match" in value:
            judged = f"mAP {value['mean_average_precision']}, F1 {value['f1_micro']}, exact {value['exact_match']}"
        rows.append(
            [
                f"{value['model']} {value['version']} ({value['variant']})",
                value["pictures"],
                judged,
                f"{value['ece']:.4f}" if interval else "",
                f"{value['cost']['run_ms']:.2f}",
                f"{value['cost']['load_ms']:.0f}",
                f"{value['cost']['bytes'] / 1e6:.2f}",
            ]
        )
    return _table(["model", "images", "accuracy (95 %)", "ECE", "ms per image", "ms to load", "MB"], rows)


def _pairs(comparison: Comparison) -> str:
    value = comparison.to_json()
    names = {
        "agreement": "agreement",
        "disagreements": "disagreements",
        "max_probability_shift": "largest |difference of probability|",
        "mean_probability_shift": "mean |difference of probability|",
        "size_ratio": "size, against the reference",
        "speed_up": "times as fast",
        "load_speed_up": "times as fast to load",
    }
    rows: list[list[Any]] = [[text, value[key]] for key, text in names.items()]
    if "mcnemar" in value:
        test = value["mcnemar"]
        rows.append(
            [f"McNemar p ({test['only_first']} against {test['only_second']} alone right)", f"{test['p_value']:.3f}"]
        )
    return _table(["", ""], rows)


def _classes(quality: Quality) -> list[str]:
    value = quality.to_json()
    if quality.card.output.multilabel:
        head = ["label", "images", "given", "average precision", "F1"]
        keys = ("count", "given", "average_precision", "f1")
        return [_table(head, [[label, *(item[key] for key in keys)] for label, item in value["classes"].items()])]
    rows = [[label, item["count"], item["precision"], item["recall"]] for label, item in value["classes"].items()]
    head = ["label", "images", "precision", "recall"]
    if len(rows) <= MATRIX_LABELS:
        return [_table(head, rows)]
    mistakes = [[item["truth"], item["predicted"], item["count"]] for item in value["top_confusions"]]
    # Labels with images first, the weakest of them on top; None is a figure that cannot be had.
    rows.sort(key=lambda row: (not row[1], row[3] if row[3] is not None else 1.0, row[0]))
    return [
        "<h3>Most frequent mistakes</h3>",
        _table(["truth", "predicted", "images"], mistakes),
        f"<details><summary>All {len(rows)} labels, least recall first</summary>{_table(head, rows)}</details>",
    ]


def _table(head: list[str], rows: list[list[Any]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
