"""`python -m localcloud`: the command line."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from localcloud import classify, cloud, demo, isolation, models, release_command
from localcloud.aws import Account
from localcloud.cloud import Steps
from localcloud.errors import CloudError
from localcloud.images import media_type
from localcloud.jobs import Jobs
from localcloud.release_command import MINUTE_SECONDS
from localcloud.settings import effective, overrides
from localcloud.state import PROJECT, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT_PORT = 4577
SOURCES = ("function", "ministack", "fleet", "synth", "bootstrap", "deploy")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Loupe's cloud on one machine: the CDK app deployed to MiniStack, the function in Lambda's runtime emulator.

Examples:

    python -m localcloud demo --image photo.jpg

    python -m localcloud up --set function.memory_mib=3008

    python -m localcloud status --json

    python -m localcloud logs --follow

    python -m localcloud down
""",
)

StateOption = Annotated[Path, typer.Option("--state", help="Folder of this cloud; another folder is another cloud.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: path=value, such as model.name=hair-type.")
]
SettingsOption = Annotated[str | None, typer.Option("--settings", help="Change settings: a JSON merge patch.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, progress on stderr.")]

out = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command()
def up(
    state: StateOption = PROJECT / ".local",
    port: Annotated[int, typer.Option(help="Port of the emulated AWS; 0 takes a free one.")] = DEFAULT_PORT,
    set_: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start the cloud, or deploy what has changed if it is up; leave it running."""
    with _errors_reported():
        changes = overrides(settings, set_ or [], os.environ)
        endpoint = cloud.up(State(state.resolve()), port, changes, Steps(_step_reporter(as_json)))
        if as_json:
            print(json.dumps(endpoint, indent=2))
            return
        out.print(f"\nurl      {endpoint['url']}\napi_key  {endpoint['api_key']}\n")
        out.print(_curl(endpoint, _example(effective(changes).model.name)), markup=False)


@app.command()
def release(
    state: StateOption = PROJECT / ".local",
    set_: SetOption = None,
    settings: SettingsOption = None,
    minute: Annotated[float, typer.Option(min=1, help="Seconds that stand for a minute.")] = MINUTE_SECONDS,
) -> None:
    """Deploy what has changed, and move the alias as CodeDeploy would; exit 1 after a rollback."""
    with _errors_reported():
        outcome = release_command.release(
            State(state.resolve()),
            overrides(settings, set_ or [], os.environ),
            Steps(_step_reporter(as_json=False)),
            lambda sentence: out.print(sentence, markup=False),
            minute,
        )
        for finding in outcome.findings:
            out.print(finding, markup=False)
        raise typer.Exit(1 if outcome.rolled_back else 0)


@app.command()
def down(state: StateOption = PROJECT / ".local") -> None:
    """Stop what `up` started."""
    with _errors_reported():
        ended = cloud.down(State(state.resolve()))
        out.print(f"ended: {', '.join(ended)}" if ended else "nothing was running")


@app.command()
def status(state: StateOption = PROJECT / ".local", as_json: JsonOption = False) -> None:
    """Show what is running and the state of the fleet; exit 1 if the cloud is not up."""
    with _errors_reported():
        status = cloud.status(State(state.resolve()))
        if as_json:
            print(json.dumps(status, indent=2))
        elif not status["up"]:
            out.print(f"not up ({status['state']})")
        else:
            out.print(f"up on port {status['port']}: {status.get('endpoint', {}).get('url', 'nothing deployed')}")
            for name, pool in status["fleet"]["functions"].items():
                out.print(f"{name}: {pool['busy']} busy, {pool['idle']} idle, at most {pool['limit']}")
        raise typer.Exit(0 if status["up"] else 1)


@app.command(name="demo")
def demonstrate(
    image: Annotated[Path | None, typer.Option(help="An image of your own, classified as well.")] = None,
    state: StateOption = PROJECT / ".local" / "demo",
    set_: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a local cloud, classify golden images, take it down; exit 1 if a label is wrong."""
    with _errors_reported():
        started = time.monotonic()
        changes = overrides(settings, set_ or [], os.environ)
        rows = demo.run(State(state.resolve()), image, changes, Steps(_step_reporter(as_json)))
        if as_json:
            print(json.dumps([row.to_dict() for row in rows], indent=2))
        else:
            _table(rows)
            out.print(f"{time.monotonic() - started:.1f} s in all")
        raise typer.Exit(0 if all(row.right for row in rows) else 1)


@app.command(name="classify")
def classify_folder(
    folder: Annotated[Path, typer.Argument(help="Folder with images; its subfolders are read, too.")],
    output: Annotated[Path, typer.Option(help="File of the results: a JSON line for each image.")] = Path(
        "results.jsonl"
    ),
    state: StateOption = PROJECT / ".local",
) -> None:
    """Classify a folder by a bulk job on the cloud that is up; Ctrl-C stops the job."""
    with _errors_reported():
        cloud_state = State(state.resolve())
        if not cloud.status(cloud_state)["up"]:
            raise CloudError("No local cloud is up: make up.")
        endpoint = cloud_state.read_endpoint()
        s3 = Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"]).client("s3")
        with _bars() as progress:
            outcome = classify.classify(folder, output, Jobs(endpoint, s3), s3, progress)
        rest = f", {outcome.left_out} other files left out" if outcome.left_out else ""
        out.print(
            f"{outcome.images} images in {outcome.seconds:.1f} s ({outcome.images / outcome.seconds:.1f} images/s), "
            f"{outcome.failed} failed{rest}: {output}"
        )


@app.command()
def logs(
    source: Annotated[str, typer.Argument(help=f"One of: {', '.join(SOURCES)}.")] = "function",
    state: StateOption = PROJECT / ".local",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow new lines (function only).")] = False,
) -> None:
    """Print the function's log group, or the log of a part of the cloud."""
    with _errors_reported():
        here = State(state.resolve())
        if source not in SOURCES:
            raise CloudError(f"There is no log {source!r}: name one of {', '.join(SOURCES)}.")
        if source == "function":
            _function_log(here, follow=follow)
            return
        path = here.logs / f"{source}.log"
        if not path.exists():
            raise CloudError(f"There is no {path} yet.")
        print(path.read_text(encoding="utf-8", errors="replace"), end="")


def _function_log(state: State, *, follow: bool) -> None:
    endpoint = state.read_endpoint()
    account = Account(endpoint["aws_endpoint"], endpoint["region"], endpoint["account"])
    function = account.client("lambda").get_function_configuration(FunctionName=endpoint["outputs"]["FunctionName"])
    group = (function.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{function['FunctionName']}"
    client, printed, start = account.client("logs"), set[str](), 0
    while True:
        for page in client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start):
            for event in page["events"]:
                if event["eventId"] not in printed:
                    printed.add(event["eventId"])
                    start = max(start, event["timestamp"])
                    print(event["message"], flush=True)
        if not follow:
            return
        time.sleep(1.0)


def _table(rows: list[demo.Row]) -> None:
    table = Table("image", "label", "expected", "probability", "ms", "server ms")
    for column in table.columns[3:]:
        column.justify = "right"
    for row in rows:
        style = "green" if row.right else "bold red"
        server = "" if row.server_milliseconds is None else f"{row.server_milliseconds:.1f}"
        label, expected = f"[{style}]{row.label}[/]", row.expected or ""
        table.add_row(row.image, label, expected, f"{row.probability:.3f}", f"{row.milliseconds:.1f}", server)
    out.print(table)


def _example(model: str) -> Path | None:
    """A golden image of the model; None if none can be read, which does not stop the endpoint."""
    try:
        return next((case.path for case in models.golden(model)), None)
    except CloudError:
        return None


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars with rate and remaining time, one for each step, on stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors) as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total, rate="")
            speed = bars.tasks[tasks[step]].speed
            bars.update(tasks[step], completed=done, rate="" if speed is None else f"{speed:.1f} images/s")

        yield show


def _curl(endpoint: dict[str, Any], image: Path | None) -> str:
    """A curl command for the current folder; without a golden image, with a placeholder for the user's own."""
    path = image or Path("photo.jpg")
    kind = "image/jpeg" if image is None else media_type(image)
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    key = f" -H {shlex.quote('x-api-key: ' + endpoint['api_key'])}" if endpoint["api_key"] else ""
    return (
        f"curl -s {shlex.quote(endpoint['url'].rstrip('/') + '/v1/classify')}{key} "
        f"-H {shlex.quote('Content-Type: ' + kind)} --data-binary {shlex.quote('@' + str(path))}"
    )


def _step_reporter(as_json: bool) -> Callable[[str, float], None]:
    """Report each step on standard output, or on standard error if standard output is JSON."""
    console = errors if as_json else out
    return lambda what, seconds: console.print(f"[green]✓[/] {what:<44} {seconds:6.1f} s")


@contextmanager
def _errors_reported() -> Iterator[None]:
    """Print errors as one sentence, and handle SIGTERM like Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    isolation.clear_environment()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except CloudError as error:
        errors.print(f"[bold red]error:[/] {_plain(str(error))}")
        raise typer.Exit(1) from error
    except (ClientError, BotoCoreError, Boto3Error) as error:
        errors.print(f"[bold red]error:[/] the local cloud failed: {_plain(str(error))}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        errors.print("\ninterrupted: what this command started has been ended")
        raise typer.Exit(130) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    sys.exit(app())
