"""API Gateway inside MiniStack: its limits, its media types, and what it answers when the function gives no answer.

Sources: API Gateway developer guide, 'Quotas for configuring and running a REST API', 'Content type conversions in API
Gateway' and 'Gateway response types'; access logs of public REST APIs for failed integrations (DataBiosphere/azul
issues 6284 and 8192): a function that raises, exits, times out or is throttled is INTEGRATION_FAILURE.
"""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING, Any

from localcloud.seam import Replacement, original

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GATEWAY = "ministack.services.apigateway_v1"
MAX_BODY_BYTES = 10 * 1024 * 1024
# Of the request line and all header names and values together; it cannot be raised.
MAX_HEADER_BYTES = 10_240
DEFAULT_MEDIA_TYPE = "application/json"


class IntegrationError(Exception):
    """The function gave the API nothing to answer with; API Gateway answers for it.

    Attributes
    ----------
    response_type
        API Gateway's gateway response type; the deployed API may have given it a status and body of its own.
    """

    def __init__(self, response_type: str, message: str) -> None:
        super().__init__(message)
        self.response_type = response_type


def replacements() -> tuple[Replacement, ...]:
    """What is replaced of MiniStack's REST APIs."""
    gateway_error: Callable[[str, str], Any] = original(GATEWAY, "_gw_error")
    stages: Callable[[str], Mapping[str, Any]] = original(GATEWAY, "stages_for_api")
    matches: Callable[[str, Any], bool] = original(GATEWAY, "_media_type_matches")
    return (
        Replacement(GATEWAY, "_lambda_proxy_response", failing_as_api_gateway),
        Replacement(GATEWAY, "_invoke_lambda_proxy_v1", lambda call: answering_for_the_function(call, gateway_error)),
        Replacement(GATEWAY, "_build_lambda_event_v1", lambda build: taking_json_for_granted(build, matches)),
        Replacement(GATEWAY, "_execute_in_scope", lambda run: limiting_bodies(run, stages, gateway_error)),
        Replacement(GATEWAY, "handle_execute", limiting_headers),
    )


def failing_as_api_gateway(shape: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let API Gateway answer for a failed invocation: MiniStack would show the function's error to the caller."""

    def shape_or_fail(result: Mapping[str, Any]) -> Any:
        if result.get("http_status") == http.client.REQUEST_ENTITY_TOO_LARGE:
            raise IntegrationError("REQUEST_TOO_LARGE", "Request Too Long")
        if result.get("error"):
            raise IntegrationError("INTEGRATION_FAILURE", "Internal server error")
        return shape(result)

    return shape_or_fail


def answering_for_the_function(
    invoke: Callable[..., Any], gateway_error: Callable[[str, str], Any]
) -> Callable[..., Any]:
    async def invoke_or_answer(*arguments: Any, **options: Any) -> Any:
        try:
            return await invoke(*arguments, **options)
        except IntegrationError as failure:
            return gateway_error(failure.response_type, str(failure))

    return invoke_or_answer


def taking_json_for_granted(
    build: Callable[..., dict[str, Any]], matches: Callable[[str, Any], bool]
) -> Callable[..., dict[str, Any]]:
    """Take a body without Content-Type for application/json, and so for binary under ``*/*``: MiniStack takes text."""

    def build_event(
        api_id: str, stage_name: str, stage: Any, resource: Any, path: str, method: str,
        headers: Mapping[str, Any], body: bytes, query: Any, parameters: Any, **options: Any,
    ) -> dict[str, Any]:  # fmt: skip
        event = build(api_id, stage_name, stage, resource, path, method, headers, body, query, parameters, **options)
        if body and not headers.get("content-type") and matches(DEFAULT_MEDIA_TYPE, options.get("binary_media_types")):
            event |= {"body": base64.b64encode(body).decode("ascii"), "isBase64Encoded": True}
        return event

    return build_event


def limiting_bodies(
    run: Callable[..., Any], stages: Callable[[str], Mapping[str, Any]], gateway_error: Callable[[str, str], Any]
) -> Callable[..., Any]:
    """Reject what is larger than a REST API takes, before it is authorized or counted."""

    async def run_or_reject(
        request: dict[str, Any], api_id: str, stage_name: str, method: str, path: str, headers: Any, body: bytes,
        *rest: Any,
    ) -> Any:  # fmt: skip
        stage = stages(api_id).get(stage_name)
        if stage is not None and len(body or b"") > MAX_BODY_BYTES:
            request["stage"] = stage
            return gateway_error("REQUEST_TOO_LARGE", "Request Too Long")
        return await run(request, api_id, stage_name, method, path, headers, body, *rest)

    return run_or_reject


def limiting_headers(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Reject longer headers than API Gateway takes, below any gateway response; AWS documents no status for it."""

    async def handle_or_reject(
        api_id: str, stage_name: str, method: str, path: str, headers: Mapping[str, Any], body: bytes, query: Any
    ) -> Any:
        if header_bytes(method, f"/{stage_name}{path}", headers, query) > MAX_HEADER_BYTES:
            message = {"message": f"HTTP header is larger than {MAX_HEADER_BYTES} bytes."}
            status = http.client.REQUEST_HEADER_FIELDS_TOO_LARGE
            return int(status), {"Content-Type": "application/json"}, json.dumps(message).encode()
        return await handle(api_id, stage_name, method, path, headers, body, query)

    return handle_or_reject


def header_bytes(method: str, path: str, headers: Mapping[str, Any], query: Mapping[str, Any] | None) -> int:
    """Size of a request line and of header names and values, as far as MiniStack kept them."""
    values = ((name, value) for name, given in (headers or {}).items() for value in _values(given))
    pairs = ((name, value) for name, given in (query or {}).items() for value in _values(given))
    line = f"{method} {path} HTTP/1.1"
    return (
        len(line.encode())
        + sum(len(name) + len(value.encode()) + 2 for name, value in pairs)
        + sum(len(name) + len(value.encode()) for name, value in values)
    )


def _values(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else [str(value) for value in given]
