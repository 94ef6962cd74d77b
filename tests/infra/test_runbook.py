"""Each alarm of any settings has a runbook entry, and its description links to it with the entry's severity."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.settings import SettingsError, load_settings
from tests.infra.runbook import PARTS, entries
from tests.infra.synthesis import Synthesized, synthesize
from tests.infra.variants import EXPERIMENT, JWT, OPTIONS, PROVISIONED
from tests.variants import pinned

# Settings that add alarms to those of prod.
ALL: dict[str, Any] = {
    "auth": JWT,
    "alarms": {"budget": {"monthly_usd": 100}},
    "scaling": {"provisioned": PROVISIONED},
    "models": EXPERIMENT["models"],
    "experiment": {**EXPERIMENT["experiment"], "key": "token-subject"},
    "bulk": {"enabled": True, "on_upload": {"enabled": True}},
    "shadow": {"challenger": "hair-type-large", "reserved_concurrency": 2},
}


def _pinned_alarms() -> set[str]:
    """Names of the alarms of every environment and of all settings that the pinned resources cover."""
    values = {value for resources in pinned.read().values() for value in resources.values()}
    names = (re.match(r"AWS::CloudWatch::\w*Alarm AlarmName=loupe-[a-z]+-(\w+)", value) for value in values)
    budget = {"Budget"} if "AWS::Budgets::Budget" in values else set()
    return {name[1] for name in names if name} | budget


def _alarms(environment: Synthesized) -> dict[str, dict[str, Any]]:
    return {
        resource["Properties"]["AlarmName"].removeprefix(f"loupe-{environment.name}-").removesuffix("-<version>"): (
            resource["Properties"]
        )
        for kind in ("Alarm", "CompositeAlarm")
        for resource in environment.resources(f"AWS::CloudWatch::{kind}").values()
    }


def _entry(name: str) -> str:
    """Name of an alarm's entry: those of a further model share the entry of the default model's."""
    return name.partition("-")[0]


@pytest.fixture(scope="module")
def everything() -> Synthesized:
    return synthesize("prod", ALL)


def test_every_alarm_has_an_entry_and_every_entry_an_alarm() -> None:
    assert set(entries()) == _pinned_alarms()


def test_one_environment_has_every_alarm(everything: Synthesized) -> None:
    assert {*map(_entry, _alarms(everything)), "Budget"} == _pinned_alarms()
    assert everything.only("AWS::Budgets::Budget")


def test_descriptions_state_the_severity_and_link_to_the_entry(everything: Synthesized) -> None:
    for name, alarm in _alarms(everything).items():
        severity, _, text = alarm["AlarmDescription"].partition(": ")
        assert severity == entries()[_entry(name)].severity
        assert text.endswith(f" Runbook: docs/runbook.md#{_entry(name).lower()}")
        assert len(alarm["AlarmDescription"]) <= 1024


@pytest.mark.parametrize("name", entries())
def test_an_entry_has_all_parts_and_a_query_to_paste(name: str) -> None:
    entry = entries()[name]
    assert entry.severity in ("page", "ticket")
    assert tuple(entry.parts) == PARTS
    assert all(len(text.strip()) > 20 for text in entry.parts.values())
    assert entry.code


def test_the_address_of_the_runbook_is_a_setting() -> None:
    address = OPTIONS["alarms"]["runbook"]
    for name, alarm in _alarms(synthesize("dev", OPTIONS)).items():
        assert f"{address}#{name.lower()}" in alarm["AlarmDescription"]


@pytest.mark.parametrize("address", ["http://wiki.example.com", "https://a.example/x#y", "docs/other.md", ""])
def test_other_addresses_are_rejected(address: str) -> None:
    with pytest.raises(SettingsError, match=r"alarms\.runbook: must be an https address"):
        load_settings({"environments": {"prod": {"alarms": {"runbook": address}}}}, "prod")
