"""Check the alias once the new version has all traffic: the core of the smoke test.

The requests are API Gateway's events, sent to the alias: they go through routes, parsing and responses as requests of
clients do. The gateway itself is left out: behind it a client needs credentials, which this function does not hold, and
the API cannot be known to it, because the API depends on the alias that waits for it. `make smoke` checks the gateway.
"""

from __future__ import annotations

import base64
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from loupe.release.cases import CaseError, read_cases
from loupe.release.invoke import InvocationError, InvocationResult, Target
from loupe.release.judge import result_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loupe.release.cases import Case
    from loupe.release.invoke import LambdaClient
    from loupe.release.settings import ReleaseSettings


def check_alias(
    settings: ReleaseSettings, client: LambdaClient, seconds: float, note: Callable[..., None]
) -> list[str]:
    """Return findings about the alias: none if the release is complete. Parameters as of `before.check_version`."""
    try:
        cases, _ = read_cases(settings.models_dir, settings.models)
    except CaseError as error:
        return [str(error)]
    target = Target(client, settings.function, settings.alias, time.monotonic() + seconds)
    findings: list[str] = []
    checks: list[tuple[str, Callable[[], Iterator[str]]]] = [
        ("health", partial(_health, settings, target)),
        ("not an image", partial(_not_an_image, target)),
        ("unknown route", partial(_unknown_route, target)),
        *((f"golden case {case.name}", partial(_golden, settings, target, case)) for case in cases),
    ]
    for name, check in checks:
        try:
            findings += check()
        except InvocationError as error:
            findings.append(f"{name}: {error}")
        except (KeyError, TypeError, ValueError) as error:
            findings.append(f"{name}: the response has not the form of the contract ({type(error).__name__}).")
    note("smoke", cases=len(cases), findings=len(findings))
    return findings


def event(method: str, path: str, body: bytes = b"", content_type: str = "") -> bytes:
    """Return a request as REST APIs send it to a Lambda proxy (API Gateway developer guide, 'Input format')."""
    return json.dumps(
        {
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": method,
            "headers": {"Content-Type": content_type} if content_type else {},
            "multiValueHeaders": {"Content-Type": [content_type]} if content_type else {},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "requestContext": {"resourcePath": path, "httpMethod": method, "identity": {}},
            "body": base64.b64encode(body).decode("ascii") if body else None,
            "isBase64Encoded": bool(body),
        }
    ).encode()


def _request(target: Target, request: bytes) -> tuple[int, Any, InvocationResult]:
    invocation = target.invoke(request)
    response = invocation.body
    text = response["body"]
    content = base64.b64decode(text) if response.get("isBase64Encoded") else text
    return int(response["statusCode"]), json.loads(content), invocation


def _health(settings: ReleaseSettings, target: Target) -> Iterator[str]:
    status, body, invocation = _request(target, event("GET", "/v1/health"))
    if invocation.executed_version != settings.version:
        yield (
            f"health: alias {settings.alias} is at version {invocation.executed_version or 'unknown'}, not "
            f"{settings.version}."
        )
    if (status, body["status"]) != (200, "ok"):
        yield f"health: HTTP {status}, status {body['status']!r}."
    if body["model"]["name"] != settings.models[0]:
        yield f"health: the model is {body['model']['name']}, not {settings.models[0]}."


def _not_an_image(target: Target) -> Iterator[str]:
    status, body, _ = _request(target, event("POST", "/v1/classify", b"no image", "image/jpeg"))
    if not 400 <= status < 500 or "code" not in body:
        yield f"not an image: HTTP {status} in place of a problem with a 4xx status."


def _unknown_route(target: Target) -> Iterator[str]:
    status, body, _ = _request(target, event("GET", "/v1/none"))
    if (status, body["code"]) != (404, "not_found"):
        yield f"unknown route: HTTP {status}, code {body['code']}."


def _golden(settings: ReleaseSettings, target: Target, case: Case) -> Iterator[str]:
    path = f"/v1/models/{case.model}/classify" if len(settings.models) > 1 else "/v1/classify"
    # No name of a type: the function recognizes an image by its content.
    status, body, _ = _request(target, event("POST", path, case.data, "application/octet-stream"))
    if status != 200:
        yield f"golden case {case.name}: HTTP {status}, code {body['code']}."
        return
    # The routes answer with a few scores: the golden label is among them, or another one was given.
    if case.label and case.label not in body["scores"]:
        yield f"golden case {case.name}: the label is {body['label']}, not {case.label}."
        return
    yield from result_findings(case, body)
