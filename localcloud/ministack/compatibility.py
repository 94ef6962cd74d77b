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
IAM_ACTIONS = "ministack.core.iam_actions"
S3 = "ministack.services.s3"
STATES = "ministack.services.stepfunctions"

# Signatures without annotations of the replaced functions, in the order of `server.replacements`.
REPLACED: dict[tuple[str, str], str] = {
    (LAMBDA, "_execute_function"): "(func, event)",
    (LAMBDA, "_emit_lambda_metrics"): "(function_name, duration_ms, error, throttle)",
    (LAMBDA, "_get_func_record_for_ref_in_scope"): "(function_ref, *, account_id=None, region=None)",
    (LAMBDA, "invoke_async_with_retry"): "(func, event)",
    (LAMBDA, "_invoke"): "async (name, event, headers, path_qualifier=None, query_params=None)",
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
    (IAM_ACTIONS, "_lambda_action"): "(method, path)",
    (IAM_ACTIONS, "extract_resource_arn"): ("(service, method, path, headers, body, query_params, region, account_id)"),
    (STATES, "handle_request"): "async (method, path, headers, body, query_params)",
    (STATES, "_start_execution"): "(data)",
    (STATES, "_stop_execution"): "(data)",
    (STATES, "_describe_execution"): "(data)",
    (STATES, "_list_executions"): "(data)",
    (STATES, "_run_execution"): "(exec_arn)",
    (STATES, "_run_distributed_map"): "(state_def, raw_input, effective, iterator, execution, ctx)",
    (STATES, "_call_lambda"): "(func_ref, event)",
    (STATES, "_add_event"): "(execution, event_type, details=None)",
    (STATES, "_error_matches"): "(error_equals, error)",
    (STATES, "_find_matching_retrier"): "(retriers, error, retry_counts)",
    (STATES, "_validate_definition_jsonata"): "(definition_str)",
    (PROVISIONERS, "_sfn_definition"): "(props)",
}
# What the replacements call or read: signatures of functions, types of data.
USED: dict[tuple[str, str], str] = {
    ("ministack.app", "main"): "()",
    (REST_API, "_gw_error"): "(response_type, message)",
    (REST_API, "_GATEWAY_RESPONSE_TYPES"): "tuple",
    (REST_API, "stages_for_api"): "(api_id)",
    (REST_API, "_resolve_api_key"): "(value)",
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
    (STATES, "_ExecutionError"): "type",
    (STATES, "_finalize_response"): "(response)",
    (STATES, "_resolve_state_machine_arn"): "(arn)",
    (STATES, "_executions"): "AccountRegionScopedDict",
    (STATES, "now_iso"): "()",
    (STATES, "json_response"): "(data, status=200, *, content_type='application/x-amz-json-1.0')",
    (STATES, "error_response_json"): (
        "(code, message, status=400, extra=None, *, message_key='message', content_type='application/x-amz-json-1.0')"
    ),
    (STATES, "_state_machines"): "AccountRegionScopedDict",
    (STATES, "_emit_execution_status_event"): "(execution)",
    (STATES, "_fail_state_error"): "(state_def, raw_input, ctx=None)",
    (STATES, "_apply_input_path"): "(state_def, data, ctx=None)",
    (STATES, "_apply_output_path"): "(state_def, data, ctx=None)",
    (STATES, "_apply_result_selector"): "(state_def, data)",
    (STATES, "_apply_result_path"): "(state_def, original, result)",
    (STATES, "_next_or_end"): "(state_def)",
    (STATES, "_map_runs"): "AccountRegionScopedDict",
    (STATES, "_run_sub_machine"): "(states, start_at, input_data, execution, ctx)",
    (STATES, "_resolve_params_obj"): "(template, data, ctx=None)",
    (STATES, "_resolve_path_or_ctx"): "(path, data, ctx)",
    (STATES, "_execute_task"): "(state_def, raw_input, execution, ctx)",
    (STATES, "_execute_map"): "(state_def, raw_input, execution, ctx)",
    (STATES, "_execute_parallel"): "(state_def, raw_input, execution, ctx)",
    (STATES, "_execute_pass"): "(state_def, raw_input, ctx=None)",
    (STATES, "_execute_choice"): "(state_def, raw_input, ctx=None)",
    (STATES, "_execute_wait"): "(state_def, raw_input, ctx=None)",
    (LAMBDA, "_functions"): "AccountRegionScopedDict",
    (LAMBDA, "_get_func_record_for_ref"): "(function_ref)",
    (LAMBDA, "_execution_record_for_config"): "(func, config)",
    (LAMBDA, "_execute_function_with_config_scope"): "(func, event)",
    (IAM, "EvalContext"): "type",
    (IAM, "evaluate"): "(ctx, policies, *limits)",
    (IAM, "_gather_role_policies"): "(role_name, account_id)",
    (S3, "_get_object"): "(bucket_name, key, headers, query_params=None)",
    (S3, "_put_object"): "(bucket_name, key, body, headers)",
    (S3, "_buckets"): "AccountScopedDict",
    (S3, "_resolve_sse_write_headers"): "(headers, bucket_name)",
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
