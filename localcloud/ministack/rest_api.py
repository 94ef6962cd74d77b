"""API Gateway inside MiniStack: size limits, binary media types and responses to failed integrations.

Sources: API Gateway developer guide, 'Quotas for configuring and running a REST API', 'Content type conversions in API
Gateway' and 'Gateway response types'; access logs of public REST APIs for failed integrations (DataBiosphere/azul
issues 6284 and 8192): a function that raises, exits, times out or is throttled is INTEGRATION_FAILURE.
"""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING, Any

from localcloud.ministack.compatibility import REST_API
from localcloud.ministack.replacement import Replacement, original

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_BODY_BYTES = 10 * 1024 * 1024
# Request line, header names and header values together; a quota that cannot be raised.
MAX_HEADER_BYTES = 10_240
# Where every client of the local cloud is: MiniStack listens on no other address.
LOOPBACK = "127.0.0.1"
DEFAULT_MEDIA_TYPE = "application/json"


class IntegrationError(Exception):
    """A failed integration, to which API Gateway responds instead of the function.

    Attributes
    ----------
    response_type
        API Gateway's gateway response type; the deployed API may configure its status and body.
    """

    def __init__(self, response_type: str, message: str) -> None:
        super().__init__(message)
        self.response_type = response_type


def replacements() -> tuple[Replacement, ...]:
    """Replacements in MiniStack's REST APIs."""
    gateway_error: Callable[[str, str], Any] = original(REST_API, "_gw_error")
    stages: Callable[[str], Mapping[str, Any]] = original(REST_API, "stages_for_api")
    matches: Callable[[str, Any], bool] = original(REST_API, "_media_type_matches")
    keys: Callable[[str], Mapping[str, Any] | None] = original(REST_API, "_resolve_api_key")
    return (
        Replacement(REST_API, "_lambda_proxy_response", rejecting_failed_invocations),
        Replacement(REST_API, "_invoke_lambda_proxy_v1", lambda call: returning_gateway_responses(call, gateway_error)),
        Replacement(
            REST_API,
            "_build_lambda_event_v1",
            lambda build: stating_the_source(naming_api_keys(defaulting_to_json(build, matches), keys)),
        ),
        Replacement(REST_API, "_execute_in_scope", lambda run: limiting_bodies(run, stages, gateway_error)),
        Replacement(REST_API, "handle_execute", limiting_headers),
    )


def rejecting_failed_invocations(shape: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Raise IntegrationError for a failed invocation: MiniStack would pass the function's error to the client."""

    def shape_or_fail(result: Mapping[str, Any]) -> Any:
        if result.get("http_status") == http.client.REQUEST_ENTITY_TOO_LARGE:
            raise IntegrationError("REQUEST_TOO_LARGE", "Request Too Long")
        if result.get("error"):
            raise IntegrationError("INTEGRATION_FAILURE", "Internal server error")
        return shape(result)

    return shape_or_fail


def returning_gateway_responses(
    invoke: Callable[..., Any], gateway_error: Callable[[str, str], Any]
) -> Callable[..., Any]:
    async def invoke_or_respond(*arguments: Any, **options: Any) -> Any:
        try:
            return await invoke(*arguments, **options)
        except IntegrationError as failure:
            return gateway_error(failure.response_type, str(failure))

    return invoke_or_respond


def defaulting_to_json(
    build: Callable[..., dict[str, Any]], matches: Callable[[str, Any], bool]
) -> Callable[..., dict[str, Any]]:
    """Treat a body without Content-Type as application/json (binary under ``*/*``); MiniStack treats it as text."""

    def build_event(
        api_id: str, stage_name: str, stage: Any, resource: Any, path: str, method: str,
        headers: Mapping[str, Any], body: bytes, query: Any, parameters: Any, **options: Any,
    ) -> dict[str, Any]:  # fmt: skip
        event = build(api_id, stage_name, stage, resource, path, method, headers, body, query, parameters, **options)
        if body and not headers.get("content-type") and matches(DEFAULT_MEDIA_TYPE, options.get("binary_media_types")):
            event |= {"body": base64.b64encode(body).decode("ascii"), "isBase64Encoded": True}
        return event

    return build_event


def naming_api_keys(
    build: Callable[..., dict[str, Any]], find: Callable[[str], Mapping[str, Any] | None]
) -> Callable[..., dict[str, Any]]:
    """Add ``identity.apiKey`` and ``apiKeyId`` to events of methods that require an API key; MiniStack leaves them out.

    Source: API Gateway developer guide, 'Variables for data models, authorizers, mapping templates', identity.
    """

    def build_event(
        api_id: str, stage_name: str, stage: Any, resource: Mapping[str, Any], path: str, method: str,
        headers: Mapping[str, Any], *rest: Any, **options: Any,
    ) -> dict[str, Any]:  # fmt: skip
        event = build(api_id, stage_name, stage, resource, path, method, headers, *rest, **options)
        methods = resource.get("resourceMethods", {})
        required = methods.get(method, methods.get("ANY", {})).get("apiKeyRequired")
        key = find(headers.get("x-api-key", "")) if required else None
        if key is not None:
            event["requestContext"]["identity"] |= {"apiKey": key["value"], "apiKeyId": key["id"]}
        return event

    return build_event


def stating_the_source(build: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """State the address of the connection as ``identity.sourceIp``; MiniStack takes it from the client's headers.

    Source: API Gateway developer guide, 'Variables for data models, authorizers, mapping templates', identity.
    """

    def build_event(*arguments: Any, **options: Any) -> dict[str, Any]:
        event = build(*arguments, **options)
        event["requestContext"]["identity"]["sourceIp"] = LOOPBACK
        return event

    return build_event


def limiting_bodies(
    run: Callable[..., Any], stages: Callable[[str], Mapping[str, Any]], gateway_error: Callable[[str, str], Any]
) -> Callable[..., Any]:
    """Reject a body above `MAX_BODY_BYTES` before authorization and throttling."""

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
    """Reject headers above `MAX_HEADER_BYTES`, without a gateway response; AWS documents no status for this."""

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
    """Size of a request line and of header names and values, in bytes, as far as MiniStack keeps them."""
    values = ((name, value) for name, item in (headers or {}).items() for value in _values(item))
    pairs = ((name, value) for name, item in (query or {}).items() for value in _values(item))
    line = f"{method} {path} HTTP/1.1"
    return (
        len(line.encode())
        + sum(len(name) + len(value.encode()) + 2 for name, value in pairs)
        + sum(len(name) + len(value.encode()) for name, value in values)
    )


def _values(item: Any) -> list[str]:
    return [item] if isinstance(item, str) else [str(value) for value in item]
