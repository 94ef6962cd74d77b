"""Checks of health, model, contract, web page, CORS and throttling."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.smoke.checks.predictions import expect_result
from tools.smoke.checks.problem import expect_problem
from tools.smoke.credentials import Anonymous
from tools.smoke.endpoint import CheckError, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.smoke.suite import Run

_DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "openapi.json"
_FOREIGN_ORIGIN = "https://smoke-test.invalid"
_PARALLEL = 16
# Above the rate of the client or the stage, and above the function's concurrency.
_REJECTIONS = {429: "too_many_requests", 503: "service_unavailable"}
_OK, _NO_CONTENT, _NOT_MODIFIED, _TOO_MANY_REQUESTS = 200, (200, 204), 304, 429


def health(run: Run) -> str:
    """Open to everybody, and names the model."""
    status = expect_result(run.endpoint.get("v1/health", credentials=Anonymous()))
    if status["status"] != "ok":
        raise CheckError(f"status {status['status']!r} instead of 'ok'")
    return f"{status['model']['name']} {status['model']['version']}"


def model(run: Run) -> str:
    """The endpoint serves the model and version of the card."""
    served = expect_result(run.endpoint.get("v1/models"))["models"][0]
    card = run.card
    if (served["name"], served["version"]) != (card.name, card.version):
        raise CheckError(
            f"the endpoint serves {served['name']} {served['version']}, the card is of {card.name} {card.version}: "
            "deploy it, or name the served model's folder with --model"
        )
    if tuple(served["labels"]) != card.labels:
        raise CheckError("the labels are not those of the card, or in another order")
    return f"{served['name']} {served['version']} ({served['variant']})"


def other_models(run: Run) -> str:
    """Each further model of the endpoint answers under its own name, with its own labels."""
    others = expect_result(run.endpoint.get("v1/models"))["models"][1:]
    if not others:
        raise NotApplicableError("the endpoint serves one model")
    image = run.card.golden[0].path.read_bytes()
    for described in others:
        name = described["name"]
        result = expect_result(run.endpoint.post(f"v1/models/{name}/classify", image, "application/octet-stream"))
        if result["model"]["name"] != name:
            raise CheckError(f"v1/models/{name}/classify was answered by {result['model']['name']}")
        if result["label"] not in described["labels"]:
            raise CheckError(f"{name} answered {result['label']!r}, which is none of its labels")
    return ", ".join(described["name"] for described in others)


def openapi(run: Run) -> str:
    """The contract is served, is that of this checkout, and can be cached."""
    reply = run.endpoint.get("openapi.json", credentials=Anonymous())
    document = expect_result(reply)
    expected = json.loads(_DOCUMENT.read_text(encoding="utf-8"))
    different = sorted(document["paths"].keys() ^ (expected["paths"].keys() - _optional(expected, document)))
    if different:
        raise CheckError(f"the paths are not those of docs/openapi.json: {', '.join(different)}")
    cached = run.endpoint.send(
        "GET", "openapi.json", headers={"If-None-Match": reply.headers["etag"]}, credentials=Anonymous()
    )
    if cached.status != _NOT_MODIFIED:
        raise CheckError(f"HTTP {cached.status} instead of 304 for a cached document")
    return f"{len(document['paths'])} paths"


def _optional(expected: Mapping[str, Any], document: Mapping[str, Any]) -> set[str]:
    """Return the paths of features that the deployment does not have (``x-loupe-feature``), if it has none of them."""
    paths: dict[str, set[str]] = {}
    for path, operations in expected["paths"].items():
        for operation in operations.values():
            if feature := operation.get("x-loupe-feature"):
                paths.setdefault(feature, set()).add(path)
    return {path for group in paths.values() if not group & document["paths"].keys() for path in group}


def page(run: Run) -> str:
    """The page for people, with its policy."""
    reply = run.endpoint.get("", credentials=Anonymous())
    if reply.status != _OK or not reply.headers.get("content-type", "").startswith("text/html"):
        raise CheckError(f"HTTP {reply.status}, {reply.headers.get('content-type')}")
    if "default-src 'none'" not in reply.headers.get("content-security-policy", ""):
        raise CheckError("the page has no Content-Security-Policy")
    return f"{len(reply.body):,} bytes"


def cors(run: Run) -> str:
    """An allowed origin gets its headers, on answers, problems and preflights; another one gets none."""
    origin = run.options.cors_origin
    allowed = run.endpoint.send(
        "GET", "v1/health", headers={"Origin": origin or _FOREIGN_ORIGIN}, credentials=Anonymous()
    )
    value = allowed.headers.get("access-control-allow-origin")
    if origin is None:
        if value not in (None, "*"):
            raise CheckError(f"a foreign origin may read answers: Access-Control-Allow-Origin is {value!r}")
        return "no origin was named; a foreign one is not allowed by name"
    if value not in (origin, "*"):
        raise CheckError(f"Access-Control-Allow-Origin is {value!r} for {origin}")
    preflight_headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    preflight = run.endpoint.send("OPTIONS", "v1/classify", headers=preflight_headers, credentials=Anonymous())
    methods = preflight.headers.get("access-control-allow-methods", "")
    if preflight.status not in _NO_CONTENT or "POST" not in methods:
        raise CheckError(f"the preflight got HTTP {preflight.status} with methods {methods!r}")
    rejected = run.endpoint.send("POST", "v1/classify", headers={"Origin": origin})
    if rejected.headers.get("access-control-allow-origin") not in (origin, "*"):
        raise CheckError("a problem has no CORS headers, so a page cannot read it")
    if value != "*":
        other = run.endpoint.send("GET", "v1/health", headers={"Origin": _FOREIGN_ORIGIN}, credentials=Anonymous())
        if other.headers.get("access-control-allow-origin") in (_FOREIGN_ORIGIN, "*"):
            raise CheckError(f"{_FOREIGN_ORIGIN} is allowed, too")
    return origin


def throttling(run: Run) -> str:
    """More requests at once than the rate allows: 429 as a problem, with ``Retry-After``.

    Beyond the function's concurrency a request gets 503, which is a problem with ``Retry-After`` as well.
    """
    count = run.options.throttle_requests
    if count == 0:
        raise NotApplicableError("not asked for: --throttle-requests N sends N requests at once to provoke a 429")

    def request(_: int) -> tuple[int, str]:
        reply = run.endpoint.get("v1/models", retry_throttled=False)
        if reply.status == _OK:
            return reply.status, ""
        expect_problem(reply, _REJECTIONS, _REJECTIONS.values())
        if "retry-after" not in reply.headers:
            raise CheckError(f"the {reply.status} has no Retry-After")
        return reply.status, reply.headers["retry-after"]

    with ThreadPoolExecutor(_PARALLEL) as pool:
        replies = list(pool.map(request, range(count)))
    throttled = [wait for status, wait in replies if status == _TOO_MANY_REQUESTS]
    if not throttled:
        raise CheckError(f"none of {count} requests at once got 429: the client's rate is higher, or not in force")
    return f"{len(throttled)} of {count} got 429 with Retry-After: {throttled[0]}"
