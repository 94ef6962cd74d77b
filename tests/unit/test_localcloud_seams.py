"""The pinned MiniStack has every function that is replaced, with the parameters that the replacement relies on."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version

import pytest

from localcloud.ministack_server import replacements
from localcloud.seam import original
from localcloud.state import PROJECT

GATEWAY, LAMBDA = "ministack.services.apigateway_v1", "ministack.services.lambda_svc"
CLOUDWATCH = "ministack.services.cloudwatch"
ANY = None
REPLACED: dict[tuple[str, str], tuple[str, ...] | None] = {
    (LAMBDA, "_execute_function"): ("func", "event"),
    (LAMBDA, "_emit_lambda_metrics"): ANY,
    (LAMBDA, "_get_func_record_for_ref_in_scope"): ("function_ref",),
    (GATEWAY, "_lambda_proxy_response"): ("result",),
    (GATEWAY, "_invoke_lambda_proxy_v1"): ANY,
    (GATEWAY, "_build_lambda_event_v1"): (
        "api_id", "stage_name", "stage", "resource", "request_path", "method", "headers", "body", "query_params",
        "path_params",
    ),
    (GATEWAY, "_execute_in_scope"): (
        "request", "api_id", "stage_name", "method", "path", "headers", "body", "query_params", "owner_account_id",
        "owner_region",
    ),
    (GATEWAY, "handle_execute"): ("api_id", "stage_name", "method", "path", "headers", "body", "query_params"),
    ("ministack.services.cloudformation.provisioners", "_cw_metric_alarm_record"): ANY,
    (CLOUDWATCH, "_evaluate_alarm"): ANY,
    ("ministack.core.iam_evaluator", "_resolve_condition_key"): ("key",),
}  # fmt: skip
USED = {
    GATEWAY: ("_gw_error", "stages_for_api", "_media_type_matches"),
    CLOUDWATCH: ("_alarms", "_metrics", "_record_history", "_dispatch_alarm_actions", "_evaluate_parent_alarms",
                 "_dims_key", "_calc_stats", "_stat_value"),
}  # fmt: skip


def test_every_replaced_function_is_named_here() -> None:
    assert {(item.module, item.name) for item in replacements("http://127.0.0.1:1")} == REPLACED.keys()


@pytest.mark.parametrize(("module", "name"), REPLACED)
def test_a_replaced_function_takes_the_expected_parameters(module: str, name: str) -> None:
    expected = REPLACED[module, name]
    parameters = list(inspect.signature(original(module, name)).parameters)
    assert expected is None or tuple(parameters[: len(expected)]) == expected


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in USED.items() for name in names])
def test_a_function_that_replacements_call_is_there(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_the_installed_ministack_is_the_pinned_one() -> None:
    assert f"\nministack=={version('ministack')}" in (PROJECT / "requirements.txt").read_text(encoding="utf-8")


def test_gateway_responses_that_stand_for_failures_are_types_of_api_gateway() -> None:
    types = set(original(GATEWAY, "_GATEWAY_RESPONSE_TYPES"))
    assert {"INTEGRATION_FAILURE", "REQUEST_TOO_LARGE"} <= types
