"""The pinned MiniStack has the private interface that `localcloud.ministack` replaces and uses."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from localcloud.ministack import compatibility
from localcloud.ministack.compatibility import CLOUDWATCH, INTERFACE, REPLACED
from localcloud.ministack.replacement import original
from localcloud.ministack.server import replacements
from localcloud.state import PROJECT


@pytest.mark.parametrize(("module", "name"), INTERFACE)
def test_the_installed_ministack_has_the_listed_signature(module: str, name: str) -> None:
    assert compatibility.difference(module, name) is None


def test_every_replaced_function_is_listed() -> None:
    assert [(item.module, item.name) for item in replacements("http://127.0.0.1:1")] == list(REPLACED)


def test_an_unlisted_name_cannot_be_used() -> None:
    with pytest.raises(LookupError, match=r"ministack\.core\.nothing is not listed"):
        original("ministack.core", "nothing")


@pytest.mark.parametrize(
    ("module", "name", "expected", "actual"),
    [
        (CLOUDWATCH, "_evaluate_alarm", "(alarm, now)", r"\(alarm\)"),
        (CLOUDWATCH, "_evaluate_alarm", "async (alarm)", r"\(alarm\)"),
        (CLOUDWATCH, "_renamed", "(alarm)", "missing"),
        ("ministack.moved", "main", "()", "missing"),
        (CLOUDWATCH, "_alarms", "dict", "AccountRegionScopedDict"),
    ],
)
def test_a_changed_interface_ends_the_start_with_a_clear_message(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, expected: str, actual: str
) -> None:
    monkeypatch.setitem(INTERFACE, (module, name), expected)
    with pytest.raises(SystemExit, match=rf"{module}\.{name} is {actual}, not .* requirements\.txt pins") as failure:
        compatibility.require()
    assert len(str(failure.value).splitlines()) == 1


def test_the_installed_ministack_is_the_pinned_one() -> None:
    assert f"\nministack=={version('ministack')}" in (PROJECT / "requirements.txt").read_text(encoding="utf-8")


def test_gateway_responses_to_failed_integrations_are_types_of_api_gateway() -> None:
    assert {"INTEGRATION_FAILURE", "REQUEST_TOO_LARGE"} <= set(
        original(compatibility.REST_API, "_GATEWAY_RESPONSE_TYPES")
    )
