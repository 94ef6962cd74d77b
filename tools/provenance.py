"""Provenance of a transcript or a benchmark: commit, programs, libraries."""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("aws-cdk-lib", "constructs", "onnxruntime", "boto3")


def versions(target: str) -> dict[str, str]:
    """Return versions by name; ``target`` says where it ran."""
    lock = json.loads((PROJECT / "package-lock.json").read_text(encoding="utf-8"))
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "target": target,
        "commit": _commit(),
        "python": platform.python_version(),
        "aws-cdk": lock["packages"]["node_modules/aws-cdk"]["version"],
        **{name: version(name) for name in PACKAGES},
    }


def _commit() -> str:
    try:
        process = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return process.stdout.strip()
