"""The transcript of an acceptance, as Markdown to publish."""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tools.acceptance.suite import Outcome
    from tools.acceptance.target import Target

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("aws-cdk-lib", "constructs", "onnxruntime", "boto3")


def versions(target: Target) -> dict[str, str]:
    """Return what the run was made with: the commit, programs, libraries and the place."""
    lock = json.loads((PROJECT / "package-lock.json").read_text(encoding="utf-8"))
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "target": target.name,
        "commit": _commit(),
        "python": platform.python_version(),
        "aws-cdk": lock["packages"]["node_modules/aws-cdk"]["version"],
        **{name: version(name) for name in PACKAGES},
        **target.versions(),
    }


def markdown(target_versions: Mapping[str, str], outcomes: Sequence[Outcome]) -> str:
    """Return the transcript: versions, a row for each step, and by name what was not shown."""
    lines = [
        "# Acceptance",
        "",
        "Written by `make acceptance`; [acceptance.md](acceptance.md) says what each step proves.",
        "",
        *(f"- {name}: {value}" for name, value in target_versions.items()),
        "",
        "| step | outcome | seconds | detail |",
        "|---|---|---|---|",
        *(
            f"| {outcome.name} | {outcome.status} | {outcome.seconds:.0f} | {_cell(outcome.detail)} |"
            for outcome in outcomes
        ),
    ]
    hidden = [outcome for outcome in outcomes if outcome.status == "not shown"]
    if hidden:
        lines += ["", "Not shown by this target:", "", *(f"- {step.name}: {step.detail}" for step in hidden)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())[:600]


def _commit() -> str:
    try:
        process = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return process.stdout.strip()
