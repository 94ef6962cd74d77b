"""`python -m tools.dashboard`: the command line."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from infra.paths import PROJECT_ROOT
from localcloud import isolation
from localcloud.cloud import Steps
from localcloud.errors import CloudError
from localcloud.state import State
from tools.dashboard import traffic
from tools.dashboard.definition import Alarms, parse
from tools.dashboard.drawing import draw
from tools.dashboard.series import Reader

# The emulator publishes metrics every half second.
PUBLISH_SECONDS = 3.0
NAME = "loupe-local"

app = typer.Typer(add_completion=False)


@app.command(
    help="""Start a local cloud, send it mixed traffic, and draw its dashboard from the deployed definition.

What the picture lacks: metrics that the local cloud does not publish (AWS/ApiGateway, AWS/States, AWS/SQS), and the
console's interaction, colors and exact layout.
"""
)
def main(
    output: Annotated[Path, typer.Option(help="The PNG file.")] = PROJECT_ROOT / "docs" / "images" / "dashboard.png",
    seconds: Annotated[float, typer.Option(min=20, max=900, help="How long requests are sent.")] = 150,
    state: Annotated[Path, typer.Option(help="Folder of the local cloud.")] = PROJECT_ROOT / ".local" / "dashboard",
) -> None:
    isolation.clear_environment()
    steps = Steps(lambda what, took: print(f"{what:<44} {took:6.1f} s", file=sys.stderr))
    try:
        with traffic.deployed(State(state.resolve()), steps) as (endpoint, account):
            started = datetime.now(UTC)
            traffic.send(endpoint, account, seconds, lambda text: print(text, file=sys.stderr))
            time.sleep(PUBLISH_SECONDS)
            cloudwatch = account.client("cloudwatch")
            widgets = parse(cloudwatch.get_dashboard(DashboardName=NAME)["DashboardBody"])
            names = [name for widget in widgets if isinstance(widget, Alarms) for name in widget.names]
            response = cloudwatch.describe_alarms(AlarmNames=names)
            states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in response["MetricAlarms"]}
            span = started - timedelta(seconds=10), datetime.now(UTC)
            reader = Reader(cloudwatch, *span)
            draw(widgets, reader.series, states, span, output)
    except (CloudError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{output} ({output.stat().st_size // 1024} KiB)")


if __name__ == "__main__":
    app(prog_name="python -m tools.dashboard")
