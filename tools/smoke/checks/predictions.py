"""Checks of predictions: golden cases within their tolerance, batch, scores, latency."""

from __future__ import annotations

import base64
import re
import statistics
from typing import TYPE_CHECKING, Any

from tools.smoke.endpoint import CheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tools.smoke.card import GoldenCase
    from tools.smoke.endpoint import Reply
    from tools.smoke.suite import Run

_OK = 200
_TOTAL = re.compile(r"\btotal;dur=([\d.]+)")


def golden(case: GoldenCase) -> Callable[[Run], str]:
    """Return the check of one golden case."""

    def check(run: Run) -> str:
        return _match(case, classify(run, case.path.read_bytes()))

    return check


def classify(run: Run, body: bytes, content_type: str | None = "application/octet-stream") -> Mapping[str, Any]:
    """Classify an image's bytes; `CheckError` if the response is not 200."""
    return expect_result(run.endpoint.post(run.of_card("v1/classify"), body, content_type))


def expect_result(reply: Reply) -> Mapping[str, Any]:
    """Return the result of a 200 response."""
    if reply.status != _OK:
        raise CheckError(f"HTTP {reply.status}: {reply.excerpt}")
    result: Mapping[str, Any] = reply.json
    return result


def _match(case: GoldenCase, result: Mapping[str, Any]) -> str:
    name, label, probability = case.path.name, result["label"], float(result["probability"])
    if label != case.label:
        raise CheckError(f"golden case {name}: {label} ({probability:.4f}) instead of {case.label}")
    if case.probability is not None and abs(probability - case.probability) > case.tolerance:
        raise CheckError(
            f"golden case {name}: {label} with probability {probability:.4f} instead of {case.probability:.4f} "
            f"within {case.tolerance:g}: the model or its preprocessing is not that of the card"
        )
    return f"{label} {probability:.4f}"


def scores(run: Run) -> str:
    """``scores=all`` has every label of the card, descending."""
    body = run.card.golden[0].path.read_bytes()
    result = expect_result(run.endpoint.post("v1/classify?scores=all", body, "application/octet-stream"))
    values = result["scores"]
    if set(values) != set(run.card.labels):
        raise CheckError(f"{len(values)} labels, the card has {len(run.card.labels)}")
    if list(values.values()) != sorted(values.values(), reverse=True):
        raise CheckError("the scores are not in descending order")
    if next(iter(values)) != result["label"] or values[result["label"]] != result["probability"]:
        raise CheckError("label and probability are not those of the first score")
    return f"{len(values)} labels"


def batch(run: Run) -> str:
    """Golden cases and one broken item in a batch: each in its place, the broken one with its problem."""
    cases = run.card.golden[:3]
    items = [{"image": base64.b64encode(case.path.read_bytes()).decode()} for case in cases]
    items.insert(1, {"image": base64.b64encode(b"not an image").decode()})
    response = expect_result(run.endpoint.post_json(run.of_card("v1/classify/batch"), {"items": items}))
    results = response["results"]
    if [item["index"] for item in results] != list(range(len(items))):
        raise CheckError(f"indexes {[item['index'] for item in results]} instead of 0 to {len(items) - 1}")
    code = results.pop(1).get("error", {}).get("code")
    if code != "unsupported_media_type":
        raise CheckError(f"the item that is not an image has the code {code!r} instead of 'unsupported_media_type'")
    for case, item in zip(cases, results, strict=True):
        if "result" not in item:
            raise CheckError(f"golden case {case.path.name} in a batch: {item.get('error', {}).get('code')}")
        _match(case, item["result"])
    return f"{len(cases)} results and 1 problem"


def latency(run: Run) -> str:
    """Measure the round trip and the function's own time of one golden image."""
    count = run.options.latency_requests
    if count < 1:
        raise CheckError("--latency-requests must be at least 1")
    body = run.card.golden[0].path.read_bytes()
    total, server = [], []
    for _ in range(count):
        reply = run.endpoint.post("v1/classify", body, "application/octet-stream")
        expect_result(reply)
        total.append(reply.milliseconds)
        if match := _TOTAL.search(reply.headers.get("server-timing", "")):
            server.append(float(match[1]))
    if not server:
        raise CheckError("the responses have no Server-Timing with a total")
    run.latency = {f"round_trip_{name}_ms": value for name, value in percentiles(total).items()}
    run.latency |= {f"function_{name}_ms": value for name, value in percentiles(server).items()}
    p95, limit = run.latency["round_trip_p95_ms"], run.options.max_p95_ms
    if limit is not None and p95 > limit:
        raise CheckError(f"p95 of the round trip is {p95:.0f} ms, above {limit:g} ms")
    return (
        f"round trip p50 {run.latency['round_trip_p50_ms']:.0f} ms, p95 {p95:.0f} ms; "
        f"function p50 {run.latency['function_p50_ms']:.1f} ms, p95 {run.latency['function_p95_ms']:.1f} ms; n={count}"
    )


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95 and p99 by nearest rank of inclusive quantiles."""
    if len(values) == 1:
        return {"p50": values[0], "p95": values[0], "p99": values[0]}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p95": round(cuts[94], 2), "p99": round(cuts[98], 2)}
