"""`python -m tools.plan`: the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from infra.cards import read_card
from infra.paths import PROJECT_ROOT
from infra.settings import SettingsError, load_settings
from tools.plan import report
from tools.plan.costs import monthly
from tools.plan.inventory import Inventory, inventory
from tools.plan.page import rewrite
from tools.plan.sizing import Load, cheapest_memory, size
from tools.prices import Architecture


class Format(StrEnum):
    """How the plan is printed."""

    text = "text"
    markdown = "markdown"
    json = "json"


class Processor(StrEnum):
    """Lambda's architectures."""

    x86_64 = "x86_64"
    arm64 = "arm64"


@dataclass(frozen=True)
class _Memory:
    mib: int
    ms: float


def _measured(value: str) -> _Memory:
    memory, _, ms = value.partition("=")
    try:
        measurement = _Memory(int(memory), float(ms))
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not MEMORY=MS, such as 1769=12.") from None
    if not 128 <= measurement.mib <= 10_240 or measurement.ms <= 0:
        raise typer.BadParameter(f"{value!r}: a memory is 128 to 10240 MiB, and a duration above 0 ms.")
    return measurement


def _environment(name: str, patch: str | None, labels: int | None) -> tuple[Inventory, str, tuple[str, ...], int]:
    """Return an environment's inventory, a sentence about it, its clients with keys, and the versions that it keeps."""
    context = json.loads((PROJECT_ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    try:
        values = load_settings(context, name, patch)
        number = labels or len(read_card(PROJECT_ROOT / "models", values.model.name, files="none").labels)
    except SettingsError as error:
        raise typer.BadParameter(f"{error}", param_hint="--env") from None
    counted = inventory(values, number)
    traces = counted.traces
    sampled = (
        "nothing is traced"
        if traces is None
        else f"X-Ray records {traces.per_second} requests a second and {traces.rate * 100:g} % of the rest"
    )
    sentence = (
        f"As environment {name} has it, for a model of {number} labels: at most {counted.custom_metrics} custom "
        f"metrics, alarms on {counted.alarm_metrics} metrics, "
        f"{f'a firewall of {counted.waf_rules} rules' if counted.waf_rules else 'no firewall'}; {sampled}."
    )
    clients = tuple(values.auth.plans(values.api.rate_limit, values.api.burst_limit))
    return counted, sentence, clients, values.release.keep_versions


app = typer.Typer(add_completion=False)


@app.command(
    no_args_is_help=True,
    help="""From a measured duration and a load: environments, reserve, provisioned concurrency, throttles, costs.

Examples:

    python -m tools.plan --rps 50 --duration-ms 12

    python -m tools.plan --rps 5 --rps 50 --rps 500 --duration-ms 12 --p95 40 --format markdown

    python -m tools.plan --rps 50 --measured 1024=20 --measured 1769=12 --measured 3538=8 --provisioned

    python -m tools.plan --rps 20 --duration-ms 80 --peak-factor 5 --hours-per-day 10 --env staging --labels 1000

    python -m tools.plan --update docs/scaling.md
""",
)
def main(
    rps: Annotated[list[float] | None, typer.Option(min=1e-6, help="Requests a second on average; may repeat.")] = None,
    duration_ms: Annotated[float | None, typer.Option(min=0.01, help="Mean duration of a warm request.")] = None,
    duration_p95: Annotated[
        float | None, typer.Option("--duration-p95", "--p95", min=0.01, help="ms: what if every request took so long?")
    ] = None,
    memory: Annotated[int, typer.Option(min=256, max=10_240, help="MiB that the duration was measured with.")] = 1769,
    measured: Annotated[
        list[_Memory] | None,
        typer.Option(parser=_measured, metavar="MEMORY=MS", help="Instead: a duration for each memory; may repeat."),
    ] = None,
    duration_limit_ms: Annotated[
        float | None, typer.Option(min=0.01, help="With --measured: take the cheapest memory within this.")
    ] = None,
    architecture: Annotated[Processor, typer.Option(help="For the prices.")] = Processor.x86_64,
    cold_start_ms: Annotated[
        float, typer.Option(min=0, help="Of a first request; see Init Duration in the log.")
    ] = 1000,
    wait_probability: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="Share of requests at the peak that may be rejected.")
    ] = 0.001,
    spill: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="Share that may spill over to environments on demand.")
    ] = 0.01,
    target_utilization: Annotated[float, typer.Option(min=0.1, max=0.9)] = 0.7,
    peak_factor: Annotated[float, typer.Option(min=1, help="The peak's rate over the average one.")] = 2.0,
    environments: Annotated[
        int | None,
        typer.Option(min=1, help="Fixed reserve or provisioned concurrency, to plan its rejections and spillover."),
    ] = None,
    image_kb: Annotated[
        float, typer.Option("--image-kb", "--picture-kb", min=0.1, help="Size of a large image.")
    ] = 500.0,
    hours_per_day: Annotated[float, typer.Option(min=0.1, max=24, help="Hours that have load.")] = 24.0,
    env: Annotated[
        str, typer.Option(help="Environment of cdk.json whose monitoring, firewall, keys and tracing are counted.")
    ] = "prod",
    settings: Annotated[str | None, typer.Option(help="JSON merge patch over it, as -c settings=... takes it.")] = None,
    labels: Annotated[int | None, typer.Option(min=1, help="Labels of the model; by default its card's.")] = None,
    provisioned: Annotated[
        bool, typer.Option("--provisioned", help="Print settings with provisioned concurrency.")
    ] = False,
    output: Annotated[Format, typer.Option("--format", help="text, markdown or json.")] = Format.text,
    update: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Update the plans of a page; no other option.")
    ] = None,
) -> None:
    """Print the plan."""
    if update is not None:
        update.write_text(rewrite(update.read_text(encoding="utf-8")), encoding="utf-8")
        return
    if not rps:
        raise typer.BadParameter("say how many requests a second there are, such as --rps 50.", param_hint="--rps")
    if (duration_ms is None) == (not measured):
        raise typer.BadParameter("give --duration-ms, or --measured MEMORY=MS once or more; not both.")
    durations = {measurement.mib: measurement.ms for measurement in measured or []}
    processor: Architecture = architecture.value
    if durations:
        try:
            memory = cheapest_memory(durations, processor, duration_limit_ms)
        except ValueError as error:
            raise typer.BadParameter(f"{error}.", param_hint="--duration-limit-ms") from None
        duration_ms = durations[memory]
    fees, about, clients, versions = _environment(env, settings, labels)
    plans = []
    for rate in rps:
        load = Load(
            rate=rate,
            duration_ms=duration_ms or 0,
            slow_ms=duration_p95,
            memory_mib=memory,
            architecture=processor,
            cold_start_ms=cold_start_ms,
            peak_factor=peak_factor,
            overflow=wait_probability,
            spill=spill,
            target_utilization=target_utilization,
            hours_a_day=hours_per_day,
            image_kb=image_kb,
            environments=environments,
        )
        sizing = size(load)
        plans.append(report.Plan(load, sizing, monthly(load, sizing, fees), about, clients, versions))
    extra = [report.memories(durations, plans[0].load)] if durations else []
    write = {Format.text: report.text, Format.markdown: report.markdown, Format.json: report.as_json}[output]
    typer.echo(write(plans, extra, provisioned=provisioned), nl=False)


if __name__ == "__main__":
    app(prog_name="python -m tools.plan")
