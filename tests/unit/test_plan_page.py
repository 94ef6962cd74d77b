"""docs/scaling.md says what the planner prints now, and what the settings are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from infra.settings import load_settings
from tools.plan.costs import break_even, monthly
from tools.plan.page import rewrite
from tools.plan.sizing import Load, size
from tools.prices import PROVISIONED_CONCURRENCY, SECONDS_A_MONTH, gb

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_tables_equal_the_planners_output(page: str) -> None:
    assert rewrite(page) == page, "run: python -m tools.plan --update docs/scaling.md"
    blocks = re.findall(r"<!-- python -m tools\.plan (.*?) -->", page)
    assert blocks
    for options in blocks:
        assert options.startswith("--rps 5 --rps 50 --rps 500 ")
    assert page.count("| Environments | 5 requests/s | 50 requests/s | 500 requests/s |") == len(blocks)


def test_a_page_with_old_tables_is_written_anew() -> None:
    old = "Before\n<!-- python -m tools.plan --rps 5 --duration-ms 12 -->\nformer\n<!-- end of the plan -->\nafter\n"
    new = rewrite(old)
    assert new.startswith("Before\n<!-- python -m tools.plan --rps 5 --duration-ms 12 -->\nENVIRONMENTS")
    assert new.endswith("\n<!-- end of the plan -->\nafter\n")
    assert "former" not in new
    assert rewrite("no plan here") == "no plan here"


def test_the_figures_in_the_text_are_the_tables(page: str) -> None:
    load = Load(rate=500, duration_ms=13, memory_mib=1769)
    largest = size(load)
    words = " ".join(page.split())
    assert largest.peak == pytest.approx(13)
    assert f"need 13 environments for compute and {largest.for_rate} for the rate limit" in words
    assert f"provisioned concurrency starts {largest.after_deployment}" in words
    dollars = {line.price.name: line.dollars for line in monthly(load, largest).on_demand}
    ours = sum(value for name, value in dollars.items() if name.startswith("Lambda"))
    around = sum(value for name, value in dollars.items() if name.startswith(("API Gateway", "CloudWatch")))
    assert "The gateway's requests and the logs cost seven times as much as Lambda" in words
    assert round(around / ours) == 7
    assert "The 50 that prod reserves sustain 30 requests per second through a deployment" in words
    assert size(replace(load, rate=30)).reserved <= 50 < size(replace(load, rate=35)).reserved
    ready = PROVISIONED_CONCURRENCY["x86_64"].cost(SECONDS_A_MONTH * gb(1769))
    assert f"${ready:.2f} a month with 1,769 MiB" in words
    assert f"in use more than {break_even('x86_64'):.0%}".replace("%", " %") in words


def test_the_settings_shown_are_taken_by_the_app(page: str) -> None:
    shown = next(block for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if '"schedules"' in block)
    settings = load_settings({"environments": {"x": json.loads("{" + shown + "}")}}, "x")
    assert [schedule.name for schedule in settings.scaling.schedules] == ["office-hours", "evening", "weekend"]


def test_every_plan_to_paste_is_taken_by_the_app(page: str) -> None:
    pasted = re.findall(r"to paste into an environment of `cdk\.json`:\n\n```json\n(.*?)```", page, re.DOTALL)
    assert len(pasted) == 6
    for text in pasted:
        assert load_settings({"environments": {"x": json.loads("{" + text + "}")}}, "x").function.reserved_concurrency
