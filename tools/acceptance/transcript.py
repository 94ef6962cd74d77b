"""The transcript of an acceptance, as Markdown to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tools.acceptance.suite import Outcome


def markdown(made_with: Mapping[str, str], outcomes: Sequence[Outcome]) -> str:
    """Return the transcript: versions, a row for each step, and the steps that this target skips."""
    lines = [
        "# Acceptance",
        "",
        "Written by `make acceptance`; [acceptance.md](acceptance.md) says what each step proves.",
        "",
        *(f"- {name}: {value}" for name, value in made_with.items()),
        "",
        "| step | outcome | seconds | detail |",
        "|---|---|---|---|",
        *(
            f"| {outcome.name} | {outcome.status} | {outcome.seconds:.0f} | {_cell(outcome.detail)} |"
            for outcome in outcomes
        ),
    ]
    skipped = [outcome for outcome in outcomes if outcome.status == "skipped"]
    if skipped:
        lines += ["", "Skipped on this target:", "", *(f"- {step.name}: {step.detail}" for step in skipped)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())[:600]
