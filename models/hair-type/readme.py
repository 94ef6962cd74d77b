"""The table of figures in a model's README, written from its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = "<!-- figures: written by release.py from card.json -->"
END = "<!-- end of figures -->"


def figures(card: dict[str, Any]) -> str:
    """Return the Markdown table of a card's figures."""
    evaluation, size = card["evaluation"], card["files"][0]["bytes"]
    held_out, labels = evaluation["cross_validation"], card["output"]["labels"]
    low, high = evaluation["accuracy_interval_95"]
    mistakes = [
        f"{row[1 - i]} of {sum(row)} {labels[i]} called {labels[1 - i]}"
        for i, row in enumerate(evaluation["confusion"])
    ]
    rows = [
        (
            "Input",
            f"one photo, resized to {card['input']['width']} x {card['input']['height']} (bilinear, stretched), RGB",
        ),
        (
            "Output",
            f"one logit; `sigmoid(logit / {card['output']['temperature']})` is the probability of `{labels[1]}`",
        ),
        ("File", f"{size:,} bytes of ONNX, weights in 16 bits, any batch size"),
        (
            f"Accuracy, {held_out['folds']}-fold cross-validation",
            (
                f"**{held_out['mean_accuracy']:.1%}**, standard deviation {held_out['standard_deviation']:.1%}, "
                f"on {held_out['size']} photos"
            ),
        ),
        (
            "Accuracy, validation",
            (
                f"**{evaluation['accuracy']:.1%}** of {evaluation['size']} photos, scored once "
                f"(95 % interval {low:.1%} to {high:.1%})"
            ),
        ),
        ("Mistakes, validation", ", ".join(mistakes)),
        (
            "Calibration error (ECE)",
            (
                f"cross-validation {held_out['ece']:.3f} "
                f"({held_out['ece_without_temperature']:.3f} without temperature), "
                f"validation {evaluation['ece']:.3f}"
            ),
        ),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def out_of_scope(card: dict[str, Any]) -> str:
    """Return the Markdown table of a card's answers to images without hair."""
    measured = card["evaluation"]["out_of_scope"]
    kinds = {name: value for name, value in measured.items() if isinstance(value, dict)}
    count, sure = measured["images_of_each_kind"], measured["sure"]
    head = f"| {count} each | median probability | share at {sure} or more | called curly |"
    rows = [
        f"| {name} | {value['median_probability']:.2f} | {value['share_sure']:.0%} | {value['share_curly']:.0%} |"
        for name, value in kinds.items()
    ]
    return "\n".join([head, "|---|---|---|---|", *rows])


def write_figures(path: Path, card: dict[str, Any]) -> None:
    """Replace the tables between their markers.

    Raises
    ------
    SystemExit
        If the README has not both pairs of markers.
    """
    text = path.read_text(encoding="utf-8")
    parts = text.split(BEGIN)
    if len(parts) != 3 or any(END not in part for part in parts[1:]):
        raise SystemExit(f"{path} needs two blocks between {BEGIN} and {END}.")
    tables = (figures(card), out_of_scope(card))
    written = parts[0]
    for table, part in zip(tables, parts[1:], strict=True):
        written += f"{BEGIN}\n{table}\n{END}{part.split(END, 1)[1]}"
    path.write_text(written, encoding="utf-8")
