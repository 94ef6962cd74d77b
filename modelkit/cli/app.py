"""The application, options that all commands share, and the mapping of errors to messages and exit codes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer
from loupe.card import CardError
from loupe.errors import Problem
from rich.console import Console

from modelkit.errors import ModelkitError
from modelkit.folders import MODELS_DIR

if TYPE_CHECKING:
    from collections.abc import Callable

# Exit codes. 2 is the command line's own: an option that does not exist or does not parse.
REJECTED = 1
UNUSABLE = 3
INTERRUPTED = 130

EXIT_CODES = (
    "Exit codes: 0 fine, 1 rejected (a check or the gate says no), 2 wrong options, 3 unusable input, 130 interrupted."
)

app = typer.Typer(
    name="modelkit",
    help="Bring any ONNX image classifier to serving, and let no worse one through.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

ModelsDir = Annotated[Path, typer.Option("--models-dir", help="The folder of models.", show_default="models/")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[str, typer.Argument(help="A model: the name of a folder in models/.")]
DEFAULT_MODELS_DIR = MODELS_DIR

P = ParamSpec("P")
R = TypeVar("R")


def examples(*lines: str) -> str:
    """Return an epilog with example commands."""
    return (
        "[bold]Examples[/bold]\n\n" + "\n\n".join(f"python -m modelkit {line}" for line in lines) + f"\n\n{EXIT_CODES}"
    )


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turn exceptions of a command into a message and an exit code."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        errors = Console(stderr=True, soft_wrap=True, highlight=False)
        try:
            return command(*args, **kwargs)
        except (ModelkitError, CardError) as error:
            errors.print(str(error), style="red", markup=False)
            raise typer.Exit(UNUSABLE) from None
        except Problem as problem:
            errors.print(problem.detail, style="red", markup=False)
            raise typer.Exit(UNUSABLE) from None
        except OSError as error:
            # A read-only or full disk, a file where a folder is expected.
            reason = error.strerror or type(error).__name__
            errors.print(f"{error.filename or 'A file'}: {reason}.", style="red", markup=False)
            raise typer.Exit(UNUSABLE) from None
        except KeyboardInterrupt:
            errors.print("Interrupted; nothing half-made is left.", style="yellow")
            raise typer.Exit(INTERRUPTED) from None

    return wrapper
