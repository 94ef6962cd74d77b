"""The plan for people and programs: one column for each load, as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from tools import prices
from tools.plan.costs import LEFT_OUT, Costs
from tools.plan.sizing import Load, Sizing, million, rejected, settings
from tools.plan.snap_start import break_even, cached, sentence


@dataclass(frozen=True)
class Plan:
    """A load with its sizing and costs.

    Attributes
    ----------
    about
        The environment whose monthly fees are in the costs.
    clients
        Its clients with API keys.
    versions
        Published versions that it keeps (``release.keep_versions``).
    """

    load: Load
    sizing: Sizing
    costs: Costs
    about: str = ""
    clients: tuple[str, ...] = ()
    versions: int = 5


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns after the first, and rows of a name and a cell for each of them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(plans: Sequence[Plan]) -> list[Table]:
    """Return the plan's tables."""
    columns = tuple(f"{plan.load.rate:g} requests/s" for plan in plans)

    def row(name: str, cell: Callable[[Plan], str]) -> tuple[str, ...]:
        return (name, *(cell(plan) for plan in plans))

    first = plans[0].load
    environments = [
        row("requests a second at the peak", lambda p: f"{p.load.peak_rate:g}"),
        row("in service, mean and deviation", lambda p: f"{p.sizing.mean:.2f} ± {sqrt(p.sizing.mean):.2f}"),
        row("the same at the peak", lambda p: f"{p.sizing.peak:.2f} ± {sqrt(p.sizing.peak):.2f}"),
        *(
            row(f"in use at the peak, p{share * 100:g}", lambda p, share=share: f"{p.sizing.quantiles[share]}")  # type: ignore[misc]
            for share in plans[0].sizing.quantiles
        ),
        row("for the rate alone, 10 requests/s each", lambda p: f"{p.sizing.for_rate}"),
        row("while all is cold, after a deployment", lambda p: f"{p.sizing.after_deployment}"),
    ]
    if first.slow_ms is not None:
        environments.append(row(f"if every request took {first.slow_ms:g} ms", lambda p: f"{p.sizing.slow}"))
    numbers = [
        row("`function.reserved_concurrency`, on demand", lambda p: f"{p.sizing.reserved}"),
        row("rejected at the peak", lambda p: _share(p.sizing.rejected)),
        row("`function.reserved_concurrency`, provisioned", lambda p: f"{p.sizing.reserved_provisioned}"),
        row(
            "`scaling.provisioned`, min and max", lambda p: f"{p.sizing.provisioned.least}, {p.sizing.provisioned.most}"
        ),
        row("`scaling.provisioned.target_utilization`", lambda p: _target(p.sizing.provisioned.target)),
        row("spill over the min on average", lambda p: _share(p.sizing.provisioned.spill_on_average)),
        row("spill over the max at the peak", lambda p: _share(p.sizing.provisioned.spill_at_peak)),
        row("`api.rate_limit`, `api.burst_limit`", lambda p: f"{p.sizing.rate_limit}, {p.sizing.burst_limit}"),
    ]
    fixed = first.environments
    if fixed is not None:
        numbers.append(
            row(f"with {fixed} environments: rejected on average", lambda p: _share(rejected(p.load, fixed)[0]))
        )
        numbers.append(
            row(f"with {fixed} environments: rejected at the peak", lambda p: _share(rejected(p.load, fixed)[1]))
        )
    return [
        Table("Environments", columns, tuple(environments)),
        Table("Settings", columns, tuple(numbers)),
        _costs(plans, columns),
    ]


def _costs(plans: Sequence[Plan], columns: tuple[str, ...]) -> Table:
    rows = [("million requests a month", *(f"{plan.costs.requests / 1e6:,.1f}" for plan in plans))]
    for index, line in enumerate(plans[0].costs.on_demand):
        name = "on demand: " + line.price.name if index < 2 else line.price.name
        rows.append((name, *(_dollars(plan.costs.on_demand[index].dollars) for plan in plans)))
    rows.append(("**total, on demand**", *(f"**{_dollars(plan.costs.totals[0])}**" for plan in plans)))
    for index, line in enumerate(plans[0].costs.provisioned[1:4], start=1):
        name = f"provisioned: {line.price.name}" + (", spilled" if index == 3 else "")
        rows.append((name, *(_dollars(plan.costs.provisioned[index].dollars) for plan in plans)))
    rows.append(("**total, provisioned**", *(f"**{_dollars(plan.costs.totals[1])}**" for plan in plans)))
    rows.append(("utilization of what is provisioned", *(_percent(plan.costs.utilization, 1) for plan in plans)))
    rows.append(("provisioned is cheaper above", *(_percent(plan.costs.break_even, 0) for plan in plans)))
    return Table("US dollars a month", columns, tuple(rows))


def memories(measured: dict[int, float], load: Load) -> Table:
    """Return what each memory that was measured takes and costs, the chosen one marked."""
    rows = tuple(
        (
            f"{memory} MiB" + (" (chosen)" if memory == load.memory_mib else ""),
            f"{ms:g} ms",
            f"{million(memory, ms, load.architecture):.2f}",
        )
        for memory, ms in sorted(measured.items())
    )
    return Table("Memory", ("measured", "$ for a million requests, Lambda"), rows)


def notes(plans: Sequence[Plan]) -> list[str]:
    """Return the assumptions and warnings, each once."""
    load = plans[0].load
    lines = [
        (
            f"One request: {load.duration_ms:g} ms with {load.memory_mib} MiB ({load.architecture}); the peak is "
            f"{load.peak_factor:g} times the average; {load.hours_a_day:g} hours a day; a cold start takes "
            f"{load.cold_start_ms:g} ms."
        ),
        (
            f"At the peak at most {_percent(load.overflow)} of the requests are rejected; "
            f"at most {_percent(load.spill)} spill over to environments on demand."
        ),
        f"List prices of {prices.REGION}, read in {_months(plans)}. Not counted: {'; '.join(LEFT_OUT)}.",
    ]
    if plans[0].about:
        lines.append(plans[0].about)
    lines.append(sentence(load, plans[0].versions))
    warned: dict[str, list[str]] = {}
    for plan in plans:
        for warning in plan.sizing.warnings:
            warned.setdefault(warning, []).append(f"{plan.load.rate:g}")
    return lines + [f"At {', '.join(rates)} requests/s: {warning}" for warning, rates in warned.items()]


def markdown(plans: Sequence[Plan], extra: Sequence[Table], *, provisioned: bool) -> str:
    """Return the plan as Markdown."""
    parts = []
    for table in [*extra, *tables(plans)]:
        parts.append(f"| {table.title} | " + " | ".join(table.columns) + " |")
        parts.append("|---|" + "---:|" * len(table.columns))
        parts += ["| " + " | ".join(row) + " |" for row in table.rows]
        parts.append("")
    parts += [*(f"- {note}" for note in notes(plans)), ""]
    for plan in plans:
        parts += [f"For {plan.load.rate:g} requests/s, to paste into an environment of `cdk.json`:", ""]
        parts += ["```json", _settings(plan, provisioned=provisioned), "```", ""]
    return "\n".join(parts)


def text(plans: Sequence[Plan], extra: Sequence[Table], *, provisioned: bool) -> str:
    """Return the plan as text, in aligned columns."""
    parts = []
    for table in [*extra, *tables(plans)]:
        rows = [(table.title.upper(), *table.columns), *table.rows]
        rows = [tuple(cell.replace("`", "").replace("**", "") for cell in row) for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, *cells in rows:
            aligned = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            parts.append("  ".join([name.ljust(widths[0]), *aligned]).rstrip())
        parts.append("")
    parts += [*(f"- {note}" for note in notes(plans)), ""]
    for plan in plans:
        parts += [
            f"For {plan.load.rate:g} requests/s, into an environment of cdk.json:",
            _settings(plan, provisioned=provisioned),
            "",
        ]
    return "\n".join(parts)


def as_json(plans: Sequence[Plan], extra: Sequence[Table], *, provisioned: bool) -> str:
    """Return the plan for programs: a list, one object for each load."""
    return json.dumps([_object(plan, extra, provisioned=provisioned) for plan in plans], indent=2) + "\n"


def _object(plan: Plan, extra: Sequence[Table], *, provisioned: bool) -> dict[str, Any]:
    sizing = asdict(plan.sizing)
    sizing["quantiles"] = {f"p{share * 100:g}": n for share, n in plan.sizing.quantiles.items()}
    on_demand, provisioned_total = plan.costs.totals
    return {
        "load": asdict(plan.load),
        "sizing": sizing,
        "memory": [dict(zip(("memory", *table.columns), row, strict=True)) for table in extra for row in table.rows],
        "costs": {
            "requests": plan.costs.requests,
            "region": prices.REGION,
            "as_of": prices.AS_OF,
            "on_demand": {"total": round(on_demand, 2), "lines": _lines(plan.costs.on_demand)},
            "provisioned": {"total": round(provisioned_total, 2), "lines": _lines(plan.costs.provisioned)},
            "utilization": plan.costs.utilization,
            "break_even_utilization": plan.costs.break_even,
        },
        "settings": settings(plan.load, plan.sizing, provisioned=provisioned, clients=plan.clients),
        "snap_start": {
            "break_even_cold_starts": break_even(plan.load, plan.versions),
            "snapshots": round(cached(plan.load, plan.versions), 2),
        },
    }


def _months(plans: Sequence[Plan]) -> str:
    return " and ".join(sorted({line.price.as_of for plan in plans for line in plan.costs.on_demand}))


def _lines(lines: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": line.price.name,
            "quantity": line.quantity,
            "unit": line.price.unit,
            "dollars": round(line.dollars, 2),
            "source": line.price.source,
            "as_of": line.price.as_of,
        }
        for line in lines
    ]


def _settings(plan: Plan, *, provisioned: bool) -> str:
    values = settings(plan.load, plan.sizing, provisioned=provisioned, clients=plan.clients)
    return ",\n".join(f'"{name}": {_inline(value)}' for name, value in values.items())


def _inline(value: dict[str, Any]) -> str:
    return "{ " + json.dumps(value)[1:-1] + " }"


def _dollars(value: float) -> str:
    return f"{value:,.2f}"


def _target(value: float | None) -> str:
    return "fixed number" if value is None else f"{value:g}"


def _share(value: float) -> str:
    return "< 0.0001 %" if value < 1e-6 else _percent(value, 4)


def _percent(value: float, digits: int | None = None) -> str:
    return f"{value * 100:g} %" if digits is None else f"{value * 100:.{digits}f} %"
