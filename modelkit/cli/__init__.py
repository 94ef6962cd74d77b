"""The command line: ``python -m modelkit``. Commands parse arguments, call the package and show results."""

from __future__ import annotations

from modelkit.cli import add, compare, evaluate, optimize
from modelkit.cli.app import app

__all__ = ["add", "app", "compare", "evaluate", "main", "optimize"]


def main() -> None:
    """Run the program."""
    app()
