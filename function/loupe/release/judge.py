"""Compare a result with its golden case, and with the bounds on latency and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loupe.release.cases import Case
    from loupe.release.invoke import InvocationResult


def result_findings(case: Case, body: Any) -> Iterator[str]:
    """Yield a sentence for each way in which a result object differs from its golden case."""
    if not isinstance(body, dict):
        yield f"golden case {case.name}: the answer is not a result object."
        return
    error = body.get("error")
    if isinstance(error, dict):
        hint = ": the golden file or the decoder is damaged" if str(error.get("code", "")).startswith("image_") else ""
        yield f"golden case {case.name}: the version answers {error.get('code')} ({error.get('status')}){hint}."
        return
    scores = body.get("scores")
    if not isinstance(scores, dict) or "label" not in body:
        yield f"golden case {case.name}: the answer has no label or no scores."
        return
    if not case.label:
        return
    labels = body.get("labels", [body["label"]])
    probability = scores.get(case.label)
    if not isinstance(probability, int | float):
        yield f"golden case {case.name}: the answer has no score of {case.label}."
        return
    if case.label not in labels:
        yield (
            f"golden case {case.name}: the label is {', '.join(map(str, labels)) or 'none'}, not {case.label} "
            f"(probability {probability:.4f}, expected {case.probability:g} +- {case.tolerance:g})."
        )
    elif abs(probability - case.probability) > case.tolerance:
        yield (
            f"golden case {case.name}: the probability of {case.label} is {probability:.4f}, not {case.probability:g} "
            f"+- {case.tolerance:g}."
        )


def limit_findings(
    case: Case, invocation: InvocationResult, *, max_latency_ms: float, max_memory_share: float
) -> Iterator[str]:
    """Yield a sentence for each limit that a warm invocation exceeds."""
    if not invocation.reported:
        yield f"golden case {case.name}: the log of the invocation ends with no REPORT line, so nothing was measured."
        return
    if invocation.duration_ms > max_latency_ms:
        yield (
            f"golden case {case.name}: {invocation.duration_ms:.0f} ms in a warm environment is above "
            f"release.max_latency_ms ({max_latency_ms:g})."
        )
    if invocation.memory_mib > max_memory_share * invocation.memory_size_mib:
        yield (
            f"golden case {case.name}: {invocation.memory_mib} of {invocation.memory_size_mib} MiB are used, more than "
            f"release.max_memory_share ({max_memory_share:g}) allows."
        )
