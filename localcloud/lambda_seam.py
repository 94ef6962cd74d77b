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

from localcloud.seam import Replacement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Longer than any function may run: the fleet ends an invocation, never this side.
LONGEST_SECONDS = 960.0


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
    service = "ministack.services.lambda_svc"
    return (
        Replacement(service, "_execute_function", lambda _: partial(execute, fleet_url)),
        # The fleet publishes what Lambda publishes; twice would be wrong.
        Replacement(service, "_emit_lambda_metrics", lambda _: lambda *_, **__: None),
        Replacement(service, "_get_func_record_for_ref_in_scope", _keeping_the_alias),
    )


def _keeping_the_alias(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """An API invokes an alias; MiniStack resolves it to a version and forgets it, Lambda counts metrics by it."""

    def resolve_and_keep(reference: str, **scope: Any) -> Any:
        record, config, name = resolve(reference, **scope)
        if config and reference.startswith("arn:"):
            config = {**config, "FunctionArn": reference}
        return record, config, name

    return resolve_and_keep


def _decoded(payload: bytes) -> Any:
    try:
        return json.loads(payload) if payload else None
    except ValueError:
        return payload.decode("utf-8", "replace")
