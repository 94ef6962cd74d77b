"""The private interface of MiniStack that the replacements rely on, and the check that the installed release has it.

The server checks it before it starts, and `tests/unit/test_ministack_compatibility.py` checks it in every test run: an
upgrade of MiniStack that changes one of these functions fails there, with a sentence for each.
"""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version
from typing import Any

LAMBDA = "ministack.services.lambda_svc"
REST_API = "ministack.services.apigateway_v1"
CLOUDWATCH = "ministack.services.cloudwatch"
PROVISIONERS = "ministack.services.cloudformation.provisioners"
IAM = "ministack.core.iam_evaluator"

# Signatures without annotations of the replaced functions, in the order of `server.replacements`.
REPLACED: dict[tuple[str, str], str] = {
    (LAMBDA, "_execute_function"): "(func, event)",
    (LAMBDA, "_emit_lambda_metrics"): "(function_name, duration_ms, error, throttle)",
    (LAMBDA, "_get_func_record_for_ref_in_scope"): "(function_ref, *, account_id=None, region=None)",
    (REST_API, "_lambda_proxy_response"): "(result)",
    (REST_API, "_invoke_lambda_proxy_v1"): (
        "async (integration, api_id, stage_name, stage, resource, request_path, method, headers, body, query_params, "
        "path_params, *, owner_account_id=None, owner_region=None, binary_media_types=None, authorizer_context=None, "
        "caller_identity=None)"
    ),
    (REST_API, "_build_lambda_event_v1"): (
        "(api_id, stage_name, stage, resource, request_path, method, headers, body, query_params, path_params, *, "
        "binary_media_types=None, authorizer_context=None, caller_identity=None)"
    ),
    (REST_API, "_execute_in_scope"): (
        "async (request, api_id, stage_name, method, path, headers, body, query_params, owner_account_id, owner_region)"
    ),
    (REST_API, "handle_execute"): "async (api_id, stage_name, method, path, headers, body, query_params)",
    (PROVISIONERS, "_cw_metric_alarm_record"): "(name, props)",
    (CLOUDWATCH, "_evaluate_alarm"): "(alarm)",
    (IAM, "_resolve_condition_key"): "(key, ctx)",
}
# What the replacements call or read: signatures of functions, types of data.
USED: dict[tuple[str, str], str] = {
    ("ministack.app", "main"): "()",
    (REST_API, "_gw_error"): "(response_type, message)",
    (REST_API, "_GATEWAY_RESPONSE_TYPES"): "tuple",
    (REST_API, "stages_for_api"): "(api_id)",
    (REST_API, "_media_type_matches"): "(media_type, binary_media_types)",
    (CLOUDWATCH, "_alarms"): "AccountRegionScopedDict",
    (CLOUDWATCH, "_metrics"): "AccountRegionScopedDict",
    (CLOUDWATCH, "_record_history"): (
        "(alarm_name, old_state, new_state, reason, alarm_type='MetricAlarm', reason_data=None)"
    ),
    (CLOUDWATCH, "_dispatch_alarm_actions"): "(alarm, old_state, new_state, reason)",
    (CLOUDWATCH, "_evaluate_parent_alarms"): "(child, seen=frozenset())",
    (CLOUDWATCH, "_dims_key"): "(dims)",
    (CLOUDWATCH, "_calc_stats"): "(points)",
    (CLOUDWATCH, "_stat_value"): "(stats, stat_name, points=None)",
}
INTERFACE = {**REPLACED, **USED}


def require() -> None:
    """End the program if the installed MiniStack does not have the interface that the replacements rely on.

    Raises
    ------
    SystemExit
        With one line per difference.
    """
    if differences := [text for text in (difference(module, name) for module, name in INTERFACE) if text]:
        raise SystemExit("\n".join(differences))


def difference(module: str, name: str) -> str | None:
    """How the installed MiniStack differs from `INTERFACE` in one name, and what to do about it; None if it does not.

    Raises
    ------
    KeyError
        If `INTERFACE` does not list the name.
    """
    expected = INTERFACE[module, name]
    try:
        actual = _description(getattr(importlib.import_module(module), name))
    except (ImportError, AttributeError):
        actual = "missing"
    if actual == expected:
        return None
    return (
        f"MiniStack {version('ministack')}: {module}.{name} is {actual}, not {expected}. Install the release that "
        "requirements.txt pins, or adapt localcloud/ministack to this one."
    )


def _description(value: Any) -> str:
    if not inspect.isroutine(value):
        return type(value).__name__
    signature = inspect.signature(value)
    parameters = [item.replace(annotation=inspect.Parameter.empty) for item in signature.parameters.values()]
    prefix = "async " if inspect.iscoroutinefunction(value) else ""
    return prefix + str(inspect.Signature(parameters))
