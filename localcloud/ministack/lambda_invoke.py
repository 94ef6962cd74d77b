"""Lambda inside MiniStack: invocations are forwarded to the fleet through Lambda's Invoke API.

MiniStack has a proxy (``MINISTACK_LAMBDA_PROXY_<name>``), but it forwards only a body and a timeout: a
function error arrives as HTTP 200, a throttle as an error, the alias is lost, and MiniStack writes log lines and
metrics in addition to those of the real invocation.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from localcloud.ministack.compatibility import LAMBDA
from localcloud.ministack.replacement import Replacement, original

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Longer than Lambda's maximum timeout of 900 s: the fleet ends an invocation, not this connection.
LONGEST_SECONDS = 960.0


def execute(
    fleet_url: str,
    function: Mapping[str, Any],
    event: Any,
    route: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda config: config,
) -> dict[str, Any]:
    """Send one invocation to the fleet's Invoke API; return its result in the form of MiniStack's executors.

    Parameters
    ----------
    route
        Takes the configuration of the version that MiniStack chose, returns that of the version that runs.
    """
    config = route(function.get("config") or function)
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
        response = connection.getresponse()
        payload = _decoded(response.read())
        tail = response.getheader("X-Amz-Log-Result")
        log = {"log": base64.b64decode(tail).decode("utf-8", "replace")} if tail else {}
    except OSError as error:
        message = f"The function fleet at {fleet_url} does not respond: {error}"
        return {"error": True, "body": {"errorType": "ServiceException", "errorMessage": message}}
    finally:
        connection.close()
    if response.status == http.client.TOO_MANY_REQUESTS:
        return {"error": True, "throttle": True, "body": payload}
    if response.status != http.client.OK:
        return {"error": True, "body": payload, "http_status": response.status}
    if kind := response.getheader("X-Amz-Function-Error"):
        return {"error": True, "body": payload, "function_error": kind, **log}
    return {"body": payload, **log}


def weighted(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration of the version that an alias with weights routes this invocation to.

    MiniStack keeps the weights of an alias and ignores them. "Lambda uses a simple probabilistic model to distribute
    the traffic between the two function versions" (AWS Lambda developer guide, 'Implement Lambda canary deployments
    using a weighted alias').
    """
    parts = config.get("FunctionArn", "").split(":")
    function = original(LAMBDA, "_functions").get(config["FunctionName"]) or {}
    alias = function.get("aliases", {}).get(parts[7]) if len(parts) > 7 else None
    weights: Mapping[str, float] = ((alias or {}).get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    for version, weight in weights.items():
        if secrets.randbelow(1_000_000) < weight * 1_000_000 and version in function["versions"]:
            return {**function["versions"][version]["config"], "FunctionArn": config["FunctionArn"]}
    return config


def replacements(fleet_url: str) -> tuple[Replacement, ...]:
    """Replacements in MiniStack's Lambda."""
    return (
        Replacement(LAMBDA, "_execute_function", lambda _: partial(execute, fleet_url, route=weighted)),
        # The fleet publishes Lambda's metrics.
        Replacement(LAMBDA, "_emit_lambda_metrics", lambda _: lambda *_, **__: None),
        Replacement(LAMBDA, "_get_func_record_for_ref_in_scope", _keeping_the_alias),
    )


def _keeping_the_alias(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the alias of an invocation: MiniStack resolves it to a version and drops it, Lambda's metrics have it."""

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
