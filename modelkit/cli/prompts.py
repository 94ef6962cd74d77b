"""Interactive prompts: each answer is validated at once, prompted for again if invalid, and never lost."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from modelkit import adding
from modelkit.cli import options
from modelkit.errors import MissingAnswersError, ModelkitError
from modelkit.golden import parse_golden, read_answer
from modelkit.label_files import read_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelkit.adding import Answers

GivenOptions = list[tuple[str, str]]


def _labels(text: str) -> tuple[str, ...] | None:
    """Labels, or the name of a file of them."""
    return read_labels(Path(text)) if Path(text).is_file() else options.labels(text, None)


def _shortest(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} must be a number of pixels, such as 256")
    return int(text)


# How an answer is read; other options are texts as they stand.
_READ: dict[str, Callable[[str], Any]] = {"--labels": _labels, "--size": options.size, "--shortest": _shortest}


def interactive() -> bool:
    """Whether standard input is a terminal."""
    return sys.stdin.isatty()


@contextmanager
def keeping(options_given: GivenOptions) -> Iterator[None]:
    """Print the answers as options if the block fails, for the next run."""
    with ExitStack() as failed:
        failed.callback(_print_options, options_given)
        yield
        failed.pop_all()


def _print_options(options_given: GivenOptions) -> None:
    if options_given:
        listed = " ".join(f"{option} {shlex.quote(text)}" for option, text in options_given)
        typer.echo(f"Your answers, to be given as options: {listed}", err=True)


def complete(file: Path, name: str, answers: Answers, options_given: GivenOptions) -> None:
    """Prompt for facts that the graph does not state, then for fit and golden cases; adds to ``answers`` and ``given``.

    Raises
    ------
    MissingAnswersError
        If standard input is not a terminal.
    ModelkitError
        If the file, or an option of the command line, cannot be used.
    """
    while True:
        try:
            card = adding.plan(file, name, answers)[1]
        except MissingAnswersError as missing:
            if not interactive():
                raise
            option, question = next(iter(missing.questions.items()))
            _ask(file, name, answers, options_given, option, question)
        else:
            break
    if not options_given:
        return
    if answers.fit is None and answers.shortest is None and answers.resize_to is None:
        question = "stretch (both sides), crop (the centre) or pad (all of it inside), as in training"
        _ask(file, name, answers, options_given, "--fit", question, default="stretch")
        if answers.fit == "crop":
            least = max(card["input"]["width"], card["input"]["height"])
            question = f"pixels of the shortest side before the crop, at least {least}; empty: the crop's own"
            _ask(file, name, answers, options_given, "--shortest", question, default="", least=least)
    if not answers.golden:
        _ask_golden(answers, options_given)


def _ask(
    file: Path, name: str, answers: Answers, options_given: GivenOptions, option: str, question: str,
    *, default: str | None = None, least: int = 0,
) -> None:  # fmt: skip
    """Ask until the answer parses and does not contradict the graph or the other answers."""
    field = option.removeprefix("--").replace("-", "_")
    while True:
        text = str(typer.prompt(f"{option}: {question}\n", default=default, show_default=bool(default), err=True))
        text = text.strip()
        try:
            value = _READ.get(option, str)(text)
            if least and value is not None and value < least:
                raise ModelkitError(f"{value} is less than {least}.")
            adding.plan(file, name, dataclasses.replace(answers, **{field: value}))
        except MissingAnswersError as missing:
            if option in missing.questions:
                typer.echo(missing.questions[option], err=True)
                continue
        except (typer.BadParameter, ModelkitError) as error:
            typer.echo(str(error), err=True)
            continue
        setattr(answers, field, value)
        if text:
            is_file = option == "--labels" and Path(text).is_file()
            options_given.append(("--labels-file" if is_file else option, text))
        return


def _ask_golden(answers: Answers, options_given: GivenOptions) -> None:
    """Ask for golden cases until there are no more."""
    question = (
        "--golden: IMAGE=LABEL:PROBABILITY, an image and its label and probability from training; empty: finish\n"
    )
    while text := str(typer.prompt(question, default="", show_default=False, err=True)).strip():
        try:
            case = parse_golden(text)
            if not case.image.is_file():
                raise ModelkitError(f"{case.image} is not a file.")
            read_answer(case.answer, answers.labels or ())
        except ModelkitError as error:
            typer.echo(str(error), err=True)
            continue
        answers.golden = (*answers.golden, case)
        options_given.append(("--golden", text))
