"""The planner: what it recommends holds, costs add up, settings are taken by the app, and its page is up to date."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from infra.settings import Settings, TraceSamplingSettings, load_settings
from tools import prices
from tools.plan import snap_start
from tools.plan.__main__ import app
from tools.plan.costs import Costs, break_even, monthly
from tools.plan.inventory import Inventory, inventory
from tools.plan.queueing import erlang_b, poisson_quantile
from tools.plan.sizing import Load, cheapest_memory, million, rejected, settings, size

ROOT = Path(__file__).resolve().parents[2]
LOADS = st.builds(
    Load,
    rate=st.floats(0.01, 3_000),
    duration_ms=st.floats(1, 2_000),
    memory_mib=st.sampled_from([512, 1769, 10_240]),
    slow_ms=st.none() | st.floats(1, 5_000),
    architecture=st.sampled_from(["x86_64", "arm64"]),
    cold_start_ms=st.floats(0, 3_000),
    peak_factor=st.floats(1, 5),
    target_utilization=st.floats(0.1, 0.9),
    hours_a_day=st.floats(1, 24),
)


def plan(*options: str) -> Any:
    run = CliRunner().invoke(app, options)
    assert run.exit_code == 0, run.output
    return run.stdout


def objects(*options: str) -> list[dict[str, Any]]:
    plans = json.loads(plan(*options, "--format", "json"))
    assert isinstance(plans, list)
    return plans


def taken(values: dict[str, Any]) -> Settings:
    """Load settings as the app does when they were pasted into an environment."""
    return load_settings({"environments": {"prod": values}}, "prod")


def test_fifty_requests_a_second() -> None:
    load = Load(rate=50, duration_ms=12, memory_mib=1769)
    sizing = size(load)
    assert (sizing.mean, sizing.peak) == (pytest.approx(0.6), pytest.approx(1.2))
    assert sizing.quantiles == {0.5: 1, 0.95: 3, 0.99: 4, 0.999: 6}
    # 99.9 % of the seconds have up to 132 arrivals: 14 environments at 10 requests a second.
    assert sizing.for_rate == 14
    assert sizing.after_deployment == poisson_quantile(50 * 1.012, 0.999) == 74
    assert sizing.reserved == 74
    assert sizing.reserved_provisioned == 14
    assert (sizing.rate_limit, sizing.burst_limit) == (125, 132)


@given(LOADS)
def test_the_recommended_sizing_meets_the_targets(load: Load) -> None:
    sizing = size(load)
    assert erlang_b(sizing.reserved, sizing.peak) <= load.overflow
    assert erlang_b(sizing.reserved_provisioned, sizing.peak) <= load.overflow
    provisioned = sizing.provisioned
    assert provisioned.spill_on_average <= load.spill
    assert provisioned.spill_at_peak <= load.spill
    assert 1 <= provisioned.least <= provisioned.most <= sizing.reserved_provisioned
    # Neither the average nor the peak's rate asks more than 10 requests a second of an environment.
    assert load.rate <= 10 * provisioned.least
    assert load.peak_rate <= 10 * min(provisioned.most, sizing.reserved)
    if provisioned.target is None:
        assert provisioned.least == provisioned.most
    else:
        # The tracker does not ask for more than the maximum, nor for more than the minimum on an average day.
        assert sizing.peak / load.target_utilization <= provisioned.most
        assert 0.1 <= provisioned.target <= 0.9
    assert load.peak_rate <= sizing.rate_limit or any("API Gateway takes" in warning for warning in sizing.warnings)


@given(LOADS, st.booleans())
def test_the_app_takes_the_settings(load: Load, provisioned: bool) -> None:
    values = settings(load, size(load), provisioned=provisioned)
    parsed = taken(values)
    assert parsed.function.memory_mib == load.memory_mib
    assert (parsed.scaling.provisioned is not None) == provisioned


@given(LOADS, st.floats(1.01, 3))
def test_more_load_needs_no_less(load: Load, factor: float) -> None:
    less, more = size(load), size(replace(load, rate=load.rate * factor))
    assert more.reserved >= less.reserved
    assert more.provisioned.most >= less.provisioned.most
    assert monthly(load, less).totals[0] <= monthly(replace(load, rate=load.rate * factor), more).totals[0]


def _dollars(costs: Costs, name: str) -> float:
    return sum(line.dollars for line in costs.on_demand if line.price.name == name)


def test_costs_by_line() -> None:
    load = Load(rate=50, duration_ms=11.5, memory_mib=1024)
    sampling = TraceSamplingSettings(rate=0.1, per_second=5)
    has = Inventory(
        custom_metrics=11_000,
        alarm_metrics=13,
        composite_alarms=1,
        high_resolution=False,
        secrets=2,
        keys=1,
        waf_rules=6,
        traces=sampling,
    )
    costs = monthly(load, size(load), has)
    requests = 50 * 730 * 3600
    assert costs.requests == requests
    assert _dollars(costs, "Lambda requests") == pytest.approx(requests * 0.2e-6)
    # 11.5 ms are charged as 12 on average: whole milliseconds, rounded up.
    assert _dollars(costs, "Lambda duration, x86") == pytest.approx(requests * 0.012 * 0.0000166667)
    assert _dollars(costs, "API Gateway REST requests") == pytest.approx(requests * 3.5e-6)
    assert _dollars(costs, "WAF web ACL") + _dollars(costs, "WAF rules") == pytest.approx(11.0)
    assert _dollars(costs, "WAF requests") == pytest.approx(requests * 0.6e-6)
    # 10,000 at $0.30 and the rest at $0.10.
    assert _dollars(costs, "CloudWatch custom metrics") == pytest.approx(3_100)
    assert _dollars(costs, "CloudWatch alarms") == pytest.approx(1.3)
    assert _dollars(costs, "CloudWatch composite alarms") == 0.5
    assert _dollars(costs, "CloudWatch dashboard") == 3
    assert (_dollars(costs, "KMS keys"), _dollars(costs, "Secrets Manager, API keys")) == (1, pytest.approx(0.8))
    # 5 a second and a tenth of the other 45.
    assert _dollars(costs, "X-Ray traces") == pytest.approx(9.5 * 730 * 3600 * 5e-6)
    assert costs.totals[0] == pytest.approx(sum(line.dollars for line in costs.on_demand))


@pytest.mark.parametrize(("image_kb", "requests_of_a_sample", "stored"), [(100, 1, 0), (500, 8, 0), (800, 1, 1)])
def test_a_shadow_test_costs_its_share_of_the_requests(image_kb: float, requests_of_a_sample: int, stored: int) -> None:
    """667 KB of base64 are a request for the first 256 KB and seven for 64 KB each; 1,067 KB go through S3."""
    load = Load(rate=50, duration_ms=11.5, memory_mib=1769, image_kb=image_kb)
    values = {"shadow": {"challenger": "b", "share": 0.1, "memory_mib": 1024}}
    settings = load_settings({"environments": {"dev": values}}, "dev")
    costs = monthly(load, size(load), inventory(settings, 2))
    samples = costs.requests * 0.1
    names = {line.price.name for line in costs.on_demand}
    assert _dollars(costs, "Shadow test: Lambda requests") == pytest.approx(samples * requests_of_a_sample * 0.2e-6)
    assert _dollars(costs, "Shadow test: Lambda duration, x86") == pytest.approx(samples * 0.012 * 0.0000166667)
    assert ("Shadow test: S3 PUT and LIST requests, Standard" in names) == bool(stored)
    without = monthly(load, size(load), inventory(load_settings({"environments": {"dev": {}}}, "dev"), 2))
    assert without.totals[0] < costs.totals[0]
    assert not [line for line in without.on_demand if "Shadow" in line.price.name]


def test_hours_without_load_cost_no_requests_but_what_is_provisioned() -> None:
    load = Load(rate=50, duration_ms=100, memory_mib=1769)
    whole, half = monthly(load, size(load)), monthly(replace(load, hours_a_day=12), size(load))
    assert half.requests == whole.requests / 2
    assert half.provisioned[1].dollars == whole.provisioned[1].dollars
    assert half.utilization == pytest.approx(whole.utilization / 2)


@given(LOADS)
def test_provisioned_is_cheaper_just_above_the_break_even(load: Load) -> None:
    costs = monthly(load, size(replace(load, spill=1e-6)))
    on_demand, provisioned = costs.totals
    if costs.utilization > costs.break_even * 1.01:
        assert provisioned < on_demand
    if costs.utilization < costs.break_even * 0.99:
        assert provisioned > on_demand


def test_the_break_even_is_sixty_percent() -> None:
    assert break_even("x86_64") == pytest.approx(0.6, abs=0.001)
    assert break_even("arm64") == pytest.approx(0.6, abs=0.001)


def test_short_requests_get_a_fixed_number_because_tracking_cannot_see_their_rate() -> None:
    short, long = (size(Load(rate=100, duration_ms=ms, memory_mib=1769)) for ms in (12, 200))
    assert short.provisioned.target is None
    assert short.provisioned.least == short.provisioned.most >= 20
    assert any("Target tracking sees only how busy" in warning for warning in short.warnings)
    assert long.provisioned.target == 0.7
    assert long.provisioned.least < long.provisioned.most
    between = size(Load(rate=100, duration_ms=50, memory_mib=1769))
    # At its 10 requests a second an environment is busy half of the time; 70 % of that is the target.
    assert between.provisioned.target == 0.35


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rate": 900}, "above the 900 that an account of 1000 can reserve"),
        ({"rate": 5_000}, "API Gateway takes 10,000 requests a second"),
        ({"rate": 1_500}, "Some regions let only 2,500 requests a second"),
        ({"image_kb": 5_000}, "is 6.5 MB as base64, above the 6 MB of a synchronous call"),
        ({}, "After a deployment all requests meet cold starts"),
    ],
)
def test_obstacles_are_warnings(changes: dict[str, Any], sentence: str) -> None:
    load = replace(Load(rate=50, duration_ms=12, memory_mib=1769), **changes)
    assert any(sentence in warning for warning in size(load).warnings)


def test_warns_of_nothing_where_nothing_is() -> None:
    load = Load(rate=20, duration_ms=200, memory_mib=1769, cold_start_ms=300, image_kb=4_600)
    assert size(load).warnings == ()


def test_rejections_of_a_fixed_number_of_environments() -> None:
    load = Load(rate=50, duration_ms=100, memory_mib=1769)
    average, peak = rejected(load, 10)
    assert average == pytest.approx(0.018385, abs=1e-6)
    assert peak == pytest.approx(erlang_b(10, 10))
    # 12 ms would be 0.6 erlangs, but 2 environments serve 20 of 50 requests a second.
    assert rejected(replace(load, duration_ms=12), 2)[0] == pytest.approx(0.6)


def test_the_cheapest_memory_within_the_limit() -> None:
    measured = {1024: 20.0, 1769: 11.0, 3538: 8.0}
    assert million(1769, 11.0, "x86_64") == pytest.approx(0.2 + 1e6 * 0.0115 * 1769 / 1024 * 0.0000166667)
    assert cheapest_memory(measured, "x86_64", None) == 1769
    assert cheapest_memory(measured, "x86_64", 10) == 3538
    with pytest.raises(ValueError, match="within 5 ms; the fastest takes 8 ms"):
        cheapest_memory(measured, "x86_64", 5)


def test_the_command_prints_all_three_formats() -> None:
    options = ("--rps", "5", "--rps", "500", "--duration-ms", "12", "--p95", "40", "--environments", "20")
    text, page = plan(*options), plan(*options, "--format", "markdown")
    assert "5 requests/s  500 requests/s" in text
    assert "`" not in text
    assert "**" not in text
    for line in ("| if every request took 40 ms | 4 | 60 |", "| Environments | 5 requests/s | 500 requests/s |"):
        assert line in page
    assert "with 20 environments: rejected at the peak" in text
    first, second = objects(*options)
    assert (first["load"]["rate"], second["load"]["rate"]) == (5, 500)
    assert second["sizing"]["quantiles"]["p99.9"] == 24
    total = second["costs"]["on_demand"]["total"]
    assert total == pytest.approx(sum(line["dollars"] for line in second["costs"]["on_demand"]["lines"]), abs=0.05)
    assert f"**{total:,.2f}**" in page
    assert second["costs"]["region"] == prices.REGION


def test_printed_settings_are_accepted_by_the_app() -> None:
    options = ("--rps", "50", "--duration-ms", "120", "--provisioned")
    pasted = plan(*options).partition("into an environment of cdk.json:\n")[2]
    values = json.loads("{" + pasted + "}")
    assert values == objects(*options)[0]["settings"]
    provisioned = taken(values).scaling.provisioned
    assert provisioned is not None
    assert provisioned.min < provisioned.max
    # In the project's own prod, in place of what stands there.
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    assert load_settings(context, "prod", values).function.reserved_concurrency


def test_each_client_may_use_the_rate_of_the_stage() -> None:
    two = json.dumps({"auth": {"clients": {"app": {}, "night-batch": {}}}})
    (result,) = objects("--rps", "50", "--duration-ms", "12", "--settings", two)
    api = result["settings"]["api"]
    assert result["settings"]["auth"]["clients"] == {
        name: {"rate": api["rate_limit"], "burst": api["burst_limit"]} for name in ("app", "night-batch")
    }
    assert taken(result["settings"]).auth.clients["app"].rate == api["rate_limit"] == 125
    (result,) = objects("--rps", "50", "--duration-ms", "12", "--settings", '{"auth": {"mode": "iam"}}')
    assert "auth" not in result["settings"]


def test_the_fees_are_those_of_the_environment_that_is_named() -> None:
    def lines(*options: str) -> dict[str, float]:
        (result,) = objects("--rps", "5", "--duration-ms", "12", *options)
        return {line["name"]: line["dollars"] for line in result["costs"]["on_demand"]["lines"]}

    prod, dev = lines(), lines("--env", "dev")
    assert prod["WAF web ACL"] == 5
    assert "WAF web ACL" not in dev
    many = lines("--labels", "1000", "--settings", '{"function": {"metrics": {"max_labels": 1000}}}')
    assert many["CloudWatch custom metrics"] == pytest.approx(prod["CloudWatch custom metrics"] + 0.3 * 998)
    # Above the setting, labels are not dimensions.
    assert lines("--labels", "1000")["CloudWatch custom metrics"] < prod["CloudWatch custom metrics"]
    less = lines("--settings", '{"function": {"trace_sampling": {"rate": 0.0, "per_second": 0}}}')
    assert ("X-Ray traces" in prod, "X-Ray traces" in less) == (True, False)
    assert lines("--settings", '{"api": {"method_metrics": true}}')["CloudWatch custom metrics"] > 20


def test_every_line_has_the_source_and_the_month_of_its_price() -> None:
    (result,) = objects("--rps", "5", "--duration-ms", "12")
    for line in result["costs"]["on_demand"]["lines"]:
        assert line["source"].startswith("https://")
        assert re.fullmatch(r"20\d\d-\d\d", line["as_of"])


def test_measured_memories_choose_the_memory() -> None:
    options = ("--rps", "50", "--measured", "1024=20", "--measured", "1769=11", "--measured", "3538=8")
    (result,) = objects(*options)
    assert result["settings"]["function"]["memory_mib"] == 1769
    assert len(result["memory"]) == 3
    (fast,) = objects(*options, "--duration-limit-ms", "10")
    assert fast["load"]["duration_ms"] == 8
    assert "1769 MiB (chosen)" in plan(*options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "Usage"),
        (("--duration-ms", "12"), "say how many requests a second there are"),
        (("--rps", "50"), "give --duration-ms, or --measured MEMORY=MS once or more"),
        (("--rps", "50", "--duration-ms", "12", "--measured", "1769=12"), "not both"),
        (("--rps", "0", "--duration-ms", "12"), "Invalid value for '--rps'"),
        (("--rps", "fifty", "--duration-ms", "12"), "Invalid value for '--rps'"),
        (("--rps", "50", "--duration-ms", "-1"), "Invalid value for '--duration-ms'"),
        (("--rps", "50", "--measured", "1769"), "is not MEMORY=MS, such as 1769=12"),
        (("--rps", "50", "--measured", "99999=12"), "a memory is 128 to 10240 MiB"),
        (("--rps", "50", "--measured", "1769=12", "--duration-limit-ms", "5"), "the fastest takes 12 ms"),
        (("--rps", "50", "--duration-ms", "12", "--wait-probability", "1"), "Invalid value for '--wait-probability'"),
        (("--rps", "50", "--duration-ms", "12", "--env", "nowhere"), "no environment 'nowhere'"),
        (("--rps", "50", "--duration-ms", "12", "--settings", "{"), "is not valid JSON"),
        (("--rps", "50", "--duration-ms", "12", "--format", "xml"), "Invalid value for '--format'"),
    ],
)
def test_wrong_options_end_with_a_clear_message_and_exit_code_2(options: tuple[str, ...], sentence: str) -> None:
    run = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, options)
    assert run.exit_code == 2
    assert sentence in re.sub(r"[\s│]+", " ", run.output)
    assert "Traceback" not in run.output


@pytest.mark.parametrize(
    ("cold_start_ms", "words"),
    [
        (400, "never saves money here: a restore costs as much as 8.4 s of INIT"),
        (400, "it is not faster either"),
        (600, "it may be faster or slower"),
        (1000, "it is faster"),
        (8_300, "never saves money here"),
        (9_000, "saves money from"),
    ],
)
def test_the_plan_says_when_snap_start_is_worth_it(cold_start_ms: float, words: str) -> None:
    load = Load(rate=1, duration_ms=12, memory_mib=1769, cold_start_ms=cold_start_ms)
    assert words in snap_start.sentence(load, 5)


def test_snap_start_breaks_even_where_both_bills_are_equal() -> None:
    """Worked out by hand: 2 GB, 10 s of INIT, one version."""
    load = Load(rate=1, duration_ms=12, memory_mib=2048, cold_start_ms=10_000)
    snapshots = 2 * 730 * 3600 * 0.0000015046
    assert snap_start.cached(load, 1) == pytest.approx(snapshots)
    starts = snap_start.break_even(load, 1)
    assert starts is not None
    assert starts * 10 * 2 * 0.0000166667 == pytest.approx(snapshots + starts * 2 * 0.0001397998)
