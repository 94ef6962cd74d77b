"""Lambda's place inside MiniStack: invocations go to the fleet, by Lambda's own Invoke API.

MiniStack can proxy a function by itself (``MINISTACK_LAMBDA_PROXY_<name>``), but through that door pass only a body and
a timeout: a function error arrives as HTTP 200, a throttle as an error, the alias is lost, and MiniStack writes log
lines and metrics of its own beside those of the real run. Hence the replacements here.
"""

from __future__ import annotations

import http.client
import json
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from localcloud.seam import Replacement, original

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Longer than any function may run: the fleet ends an invocation, never this side.
LONGEST_SECONDS = 960.0


class IntegrationError(Exception):
    """The function gave the API nothing to answer with; API Gateway answers for it.

    Attributes
    ----------
    response_type
        API Gateway's gateway response type; the deployed API may have given it a body of its own.
    """

    def __init__(self, response_type: str, message: str) -> None:
        super().__init__(message)
        self.response_type = response_type


def execute(fleet_url: str, function: Mapping[str, Any], event: Any) -> dict[str, Any]:
    """Send one invocation to the fleet by Lambda's Invoke API; answer as MiniStack's executors do."""
    config: Mapping[str, Any] = function.get("config") or function
    name, version = config["FunctionName"], config.get("Version", "$LATEST")
    target = urlsplit(fleet_url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=LONGEST_SECONDS)
    try:
        connection.request(
            "POST",
            f"/2015-03-31/functions/{quote(name)}/invocations?Qualifier={quote(version)}",
            body=json.dumps(event, ensure_ascii=False).encode(),
            headers={
                "Content-Type": "application/json",
                "X-Amzn-RequestId": str(uuid.uuid4()),
                "X-Loupe-Function-Arn": config.get("FunctionArn", ""),
                "X-Loupe-Revision": config.get("RevisionId", ""),
            },
        )
        answer = connection.getresponse()
        payload = _decoded(answer.read())
    except OSError as error:
        message = f"The function fleet at {fleet_url} does not answer: {error}"
        return {"error": True, "body": {"errorType": "ServiceException", "errorMessage": message}}
    finally:
        connection.close()
    if answer.status == http.client.TOO_MANY_REQUESTS:
        return {"error": True, "throttle": True, "body": payload}
    if answer.status != http.client.OK:
        return {"error": True, "body": payload, "http_status": answer.status}
    if kind := answer.getheader("X-Amz-Function-Error"):
        return {"error": True, "body": payload, "function_error": kind}
    return {"body": payload}


def replacements(fleet_url: str) -> tuple[Replacement, ...]:
    """What is replaced, so that invocations go to the fleet and its answers come back as Lambda's would."""
    service, gateway = "ministack.services.lambda_svc", "ministack.services.apigateway_v1"
    gateway_error: Callable[[str, str], Any] = original(gateway, "_gw_error")
    return (
        Replacement(service, "_execute_function", lambda _: partial(execute, fleet_url)),
        # The fleet publishes what Lambda publishes; twice would be wrong.
        Replacement(service, "_emit_lambda_metrics", lambda _: lambda *_, **__: None),
        Replacement(service, "_get_func_record_for_ref_in_scope", _keeping_the_alias),
        Replacement(gateway, "_lambda_proxy_response", _failing_as_api_gateway),
        Replacement(
            gateway, "_invoke_lambda_proxy_v1", lambda invoke: _answering_for_the_function(invoke, gateway_error)
        ),
    )


def _keeping_the_alias(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """An API invokes an alias; MiniStack resolves it to a version and forgets it, Lambda counts metrics by it."""

    def resolve_and_keep(reference: str, **scope: Any) -> Any:
        record, config, name = resolve(reference, **scope)
        if config and reference.startswith("arn:"):
            config = {**config, "FunctionArn": reference}
        return record, config, name

    return resolve_and_keep


def _failing_as_api_gateway(shape: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A failed invocation is API Gateway's to answer: MiniStack would show the function's error to the caller."""

    def shape_or_fail(result: Mapping[str, Any]) -> Any:
        if result.get("http_status") == http.client.REQUEST_ENTITY_TOO_LARGE:
            raise IntegrationError("REQUEST_TOO_LARGE", "Request Too Long")
        if result.get("error"):
            raise IntegrationError("DEFAULT_5XX", "Internal server error")
        return shape(result)

    return shape_or_fail


def _answering_for_the_function(
    invoke: Callable[..., Any], gateway_error: Callable[[str, str], Any]
) -> Callable[..., Any]:
    async def invoke_or_answer(*arguments: Any, **options: Any) -> Any:
        try:
            return await invoke(*arguments, **options)
        except IntegrationError as failure:
            return gateway_error(failure.response_type, str(failure))

    return invoke_or_answer


def _decoded(payload: bytes) -> Any:
    try:
        return json.loads(payload) if payload else None
    except ValueError:
        return payload.decode("utf-8", "replace")
