"""`python -m tools.status`: the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tools.doctor.aws import CallError
from tools.operations.failures import fail, sentence
from tools.operations.plain import plain
from tools.operations.stack import NotDeployedError, read_stack
from tools.operations.target import LOCAL_STATE, OperationError, connect
from tools.status.items import Item, State
from tools.status.sections import examine

MARKS = {State.ok: "✓", State.note: "·", State.unknown: "?", State.wrong: "✗"}

app = typer.Typer(add_completion=False)


@app.command(
    help="""Show the state of a deployment: versions, health, alarms, the last hour, queues, jobs, cost.

Exit code 0 if nothing is known to be wrong, 1 if something is, 2 if AWS cannot be asked at all.

Examples:

    python -m tools.status --env prod

    python -m tools.status --env local --json
"""
)
def main(
    env: Annotated[str, typer.Option(help="Environment of cdk.json, or local.")] = "dev",
    region: Annotated[str | None, typer.Option(help="Region of the deployment; default: that of its settings.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of the local cloud, for --env local.")] = LOCAL_STATE,
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of text.")] = False,
) -> None:
    try:
        target = connect(env, region=region, state=state)
        items = examine(target, read_stack(target))
    except NotDeployedError as error:
        items = [Item("stack", State.wrong, str(error))]
    except OperationError as error:
        fail(str(error))
    except CallError as failure:
        fail(sentence(failure))
    wrong = [item for item in items if item.state is State.wrong]
    print(_as_json(env, items) if json_ else _as_text(env, items))
    raise typer.Exit(1 if wrong else 0)


def _as_json(env: str, items: Sequence[Item]) -> str:
    healthy = all(item.state is not State.wrong for item in items)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    report = {"environment": env, "time": now, "healthy": healthy, "items": [asdict(item) for item in items]}
    return json.dumps(report, indent=2, default=str)


def _as_text(env: str, items: Sequence[Item]) -> str:
    width = max(len(item.name) for item in items)
    lines = [f"{env}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"]
    for item in items:
        lines.append(f"{MARKS[item.state]} {item.name:<{width}}  {plain(item.text)}")
        if item.action:
            lines.append(f"  {'':<{width}}  -> {plain(item.action)}")
    wrong = sum(item.state is State.wrong for item in items)
    unknown = sum(item.state is State.unknown for item in items)
    rest = f"; {unknown} not known" if unknown else ""
    lines += [
        "",
        f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong{rest}." if wrong else f"Nothing is wrong{rest}.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    app(prog_name="python -m tools.status")
