"""`python -m tools.logs`: the command line."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tools.doctor.aws import CallError
from tools.logs.entries import LEVELS, Entry
from tools.logs.reading import OVERLAP_MS, Follower, Query, Source, sources
from tools.logs.since import parse_since
from tools.logs.text import as_json, as_lines
from tools.operations.failures import sentence
from tools.operations.plain import plain
from tools.operations.stack import read_stack
from tools.operations.target import LOCAL_STATE, OperationError, Target, connect

# Lambda's and API Gateway's are UUIDs; the wider set is what neither a filter pattern nor a shell interprets.
_REQUEST = re.compile(r"[A-Za-z0-9_=-]{1,128}")
_CODE = re.compile(r"[a-z0-9_]{1,64}")

app = typer.Typer(add_completion=False)


@app.command(
    help="""Show the logs of a deployment: its functions and the API's access log, merged in order of time.

Exit code 0, or 2 if the logs cannot be read. Ctrl-C ends --follow.

Examples:

    python -m tools.logs --env prod --since 15m

    python -m tools.logs --env prod --request 6d7f3d1b-a0ee-42ac-a6ae-8e54f9872dc2

    python -m tools.logs --env prod --level ERROR --follow

    python -m tools.logs --env local --json
"""
)
def main(
    env: Annotated[str, typer.Option(help="Environment of cdk.json, or local.")] = "dev",
    request: Annotated[str | None, typer.Option(help="Only this request id (X-Request-Id of a response).")] = None,
    level: Annotated[str, typer.Option(help=f"Lowest level: {', '.join(LEVELS)}.")] = "DEBUG",
    code: Annotated[str | None, typer.Option(help="Only this problem code, such as image_undecodable.")] = None,
    since: Annotated[
        str | None, typer.Option(help="90s, 15m, 2h, 1d or a time in UTC; default 1h, with --request 1d.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Only this source: function, api, jobs, bulk, ...; may be repeated.")
    ] = None,
    lines: Annotated[int, typer.Option(min=0, help="The newest so many entries; 0 for all.")] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new entries until Ctrl-C.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also Lambda's START, END and REPORT lines, and metrics.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Each entry as a line of JSON, unshortened.")] = False,
    region: Annotated[str | None, typer.Option(help="Region of the deployment; default: that of its settings.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of the local cloud, for --env local.")] = LOCAL_STATE,
) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A label may have characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        request, code = _checked(request, _REQUEST, "--request"), _checked(code, _CODE, "--code")
        query = Query(request, code, _level(level), everything)
        now = datetime.now(UTC)
        begin = parse_since(since or ("1d" if request else "1h"), now)
        target = connect(env, region=region, state=state)
        groups = _chosen(target, source or ())
        follower = Follower(target.aws, groups, query, _clock, _pauses(), _echo)
        printed = _print_newest(follower.once(int(begin.timestamp() * 1000)), lines, as_json_=json_)
        if follow:
            _print(follower.follow(int(now.timestamp() * 1000) - OVERLAP_MS), as_json_=json_)
        elif not printed:
            _echo(f"No entries since {begin:%Y-%m-%dT%H:%M:%S}Z in {', '.join(group.name for group in groups)}.")
    except (OperationError, ValueError) as error:
        _echo(f"error: {error}")
        raise typer.Exit(2) from None
    except CallError as failure:
        _echo(f"error: {sentence(failure)}")
        raise typer.Exit(2) from None
    except BrokenPipeError:
        # `| head` has closed the pipe. Python would report the failed flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        # The normal end of --follow; before it, the command was cut short.
        raise typer.Exit(0 if follow else 130) from None


def _pauses() -> Callable[[float], None]:
    """Return a sleep that Ctrl-C ends, even one that was pressed while an exception could not be raised.

    Python drops a KeyboardInterrupt that is raised in a destructor or in a callback of the garbage collector.
    """
    interrupted = False

    def note(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    def pause(seconds: float) -> None:
        if interrupted:
            raise KeyboardInterrupt
        time.sleep(seconds)

    signal.signal(signal.SIGINT, note)
    return pause


def _checked(value: str | None, pattern: re.Pattern[str], option: str) -> str | None:
    if value is not None and not pattern.fullmatch(value):
        raise ValueError(f"{option} {value!r} does not look like one: {pattern.pattern}.")
    return value


def _level(value: str) -> str:
    if value.upper() not in LEVELS:
        raise ValueError(f"--level {value!r} must be one of {', '.join(LEVELS)}.")
    return value.upper()


def _chosen(target: Target, names: Iterable[str]) -> list[Source]:
    """Return the log groups with these names; all of them without a name."""
    groups = sources(target.aws, read_stack(target), target.environment)
    unknown = set(names) - {group.name for group in groups}
    if unknown:
        raise ValueError(
            f"{target.environment} has no log {', '.join(sorted(unknown))}; it has "
            f"{', '.join(group.name for group in groups)}."
        )
    return [group for group in groups if not names or group.name in names]


def _print_newest(entries: Iterator[Entry], lines: int, *, as_json_: bool) -> int:
    """Print the last entries, without holding the others; return how many were printed."""
    if not lines:
        return _print(entries, as_json_=as_json_)
    newest: deque[Entry] = deque(maxlen=lines)
    total = 0
    for entry in entries:
        newest.append(entry)
        total += 1
    printed = _print(newest, as_json_=as_json_)
    if total > printed:
        _echo(f"{total - printed} older entries are left out; --lines 0 shows all.")
    return printed


def _print(entries: Iterable[Entry], *, as_json_: bool) -> int:
    count = 0
    for entry in entries:
        count += 1
        for line in [as_json(entry)] if as_json_ else as_lines(entry):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return count


def _echo(text: str) -> None:
    print(plain(text), file=sys.stderr, flush=True)


def _clock() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    app(prog_name="python -m tools.logs")
