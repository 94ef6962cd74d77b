"""The command line: ``python -m modelkit``. Commands parse arguments, call the package and show results."""

from __future__ import annotations

from modelkit.cli import bringing, comparing, judging, shrinking
from modelkit.cli.app import app

__all__ = ["app", "bringing", "comparing", "judging", "main", "shrinking"]


def main() -> None:
    """Run the program."""
    app()
