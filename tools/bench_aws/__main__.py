"""`python -m tools.bench_aws`: the command line."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from infra.settings import SettingsError, load_settings
from localcloud.errors import CloudError
from tools.bench_aws import report
from tools.bench_aws.measure import Bench, BenchError, Measurement, least_cold
from tools.bench_aws.subjects import combinations, cost_usd
from tools.bench_aws.targets import AwsBench, LocalBench
from tools.prices import Architecture
from tools.provenance import PROJECT, versions
from tools.smoke import card as cards

_ARCHITECTURES: tuple[Architecture, ...] = ("x86_64", "arm64")

out = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)
app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(
    help="""Measure starts, latency and price of the function on AWS; write docs/aws-benchmarks.md and a plot.

It deploys a separate stack (bench- and six digits), measures it, and deletes it. arm64 images need Docker with
emulation (binfmt), or leave them out. Lambda's own figures are read from the REPORT lines.

Examples:

    python -m tools.bench_aws --env dev

    python -m tools.bench_aws --env dev --memory 512 --memory 1769 --architecture x86_64 --snap-start

    python -m tools.bench_aws --env local --memory 512 --memory 1769     # shows that it works, not how fast AWS is
"""
)
def bench(
    env: Annotated[str, typer.Option(help="Environment of cdk.json whose model is measured; local: the emulator.")],
    memory: Annotated[list[int] | None, typer.Option(help="MiB; may repeat. Default: 512, 1024, 1769, 3008.")] = None,
    architecture: Annotated[list[str] | None, typer.Option(help="x86_64 or arm64; may repeat. Default: both.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Folder of models/; may repeat.")] = None,
    snap_start: Annotated[bool, typer.Option("--snap-start", help="Measure each with SnapStart as well.")] = False,
    cold_starts: Annotated[int, typer.Option(min=1, max=100, help="Cold starts of each combination.")] = 10,
    max_usd: Annotated[float, typer.Option(min=0, help="Maximum cost of the run.")] = 1.0,
    output: Annotated[Path | None, typer.Option(help="File of the page.")] = None,
) -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    begin = time.monotonic()
    local = env == "local"
    try:
        architectures = _architectures(architecture, local=local)
        if local and snap_start:
            raise ValueError("--snap-start needs AWS: the local cloud has no snapshots.")
        models = model or [_model(env)]
        golden = cards.read(PROJECT / "models" / models[0]).golden[0]
        subjects = combinations(
            f"loupe-bench-{secrets.token_hex(3)}",
            models=models,
            memories=memory or (512, 1024, 1769, 3008),
            architectures=architectures,
            snap_start=snap_start,
        )
        cost = cost_usd(subjects, cold_starts)
        if not local and cost > max_usd:
            raise ValueError(f"This may cost US$ {cost:.2f}, above --max-usd {max_usd:g}: measure fewer combinations.")
        target = _target(local=local, cold_starts=cold_starts)
        measurements: list[Measurement] = []
        with target.deployed(subjects, out.print) as ready:
            for subject in ready:
                measuring = Bench(
                    target.client("lambda"), target.client("logs"), golden.path.read_bytes(), cold_starts=cold_starts
                )
                measurements.append(measuring.measure(subject))
                _line(measurements[-1])
    except (ValueError, SettingsError, BenchError, CloudError, ClientError, BotoCoreError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        errors.print("\ninterrupted: what was deployed has been deleted, unless a line above says otherwise")
        raise typer.Exit(130) from None
    page = output or PROJECT / ("docs/aws-benchmarks.md" if not local else ".local/bench/aws-benchmarks.md")
    plot = page.parent / ("images/aws-benchmarks.svg" if page.parent.name == "docs" else "aws-benchmarks.svg")
    made_with = {**versions("local" if local else "aws"), "cold starts of each": f"at least {least_cold(measurements)}"}
    page.parent.mkdir(parents=True, exist_ok=True)
    report.draw(measurements, plot)
    relative = plot.relative_to(page.parent).as_posix()
    page.write_text(report.markdown(measurements, made_with, target.note, relative), encoding="utf-8")
    spent = "" if local else f", at most US$ {cost:.2f}"
    out.print(f"\n{page} ({(time.monotonic() - begin) / 60:.0f} min{spent})")


def _target(*, local: bool, cold_starts: int) -> AwsBench | LocalBench:
    if not local:
        return AwsBench(PROJECT / ".local" / "bench" / "cdk.log")
    from localcloud.state import State

    return LocalBench(State(PROJECT / ".local" / "bench"), cold_starts)


def _architectures(selected: list[str] | None, *, local: bool) -> list[Architecture]:
    if local:
        # The emulator runs on this machine's processor.
        return ["x86_64"]
    chosen = [architecture for architecture in _ARCHITECTURES if architecture in (selected or _ARCHITECTURES)]
    unknown = set(selected or ()) - set(_ARCHITECTURES)
    if unknown:
        raise ValueError(f"--architecture {', '.join(sorted(unknown))}: must be x86_64 or arm64.")
    return chosen


def _model(env: str) -> str:
    context = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8"))["context"]
    return load_settings(context, env).model.name


def _line(measurement: Measurement) -> None:
    cold = "none" if measurement.cold_ms is None else f"{measurement.cold_ms:.0f} ms (n={len(measurement.cold)})"
    out.print(
        f"{escape(measurement.subject.title):<48} first {measurement.first_ms:.0f} ms, cold {cold}, "
        f"warm p50 {measurement.warm_p50_ms:.1f} ms, p95 {measurement.warm_p95_ms:.1f} ms"
    )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(app())
