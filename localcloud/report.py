"""START, END and REPORT lines and AWS/Lambda metrics of an invocation, as Lambda sends them to CloudWatch.

Sources: AWS Lambda developer guide, 'Using CloudWatch Logs with Lambda' and 'Types of metrics for Lambda functions'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localcloud import emf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.environment import Outcome
    from localcloud.publisher import Publisher

NAMESPACE = "AWS/Lambda"
TAIL_BYTES = 4096


@dataclass(frozen=True)
class Subject:
    """The function version and resource that were invoked.

    Attributes
    ----------
    resource
        ``name`` or ``name:alias``, as the caller named the function.
    """

    function: str
    version: str
    resource: str
    memory_mib: int
    log_group: str


def invocation(
    publisher: Publisher, subject: Subject, stream: str, request_id: str, outcome: Outcome, concurrent: int
) -> None:
    """Publish one invocation: its lines, Lambda's metrics, and those that its own lines carry."""
    publisher.log(subject.log_group, stream, lines(subject, request_id, outcome))
    measured = {
        "Invocations": (1.0, "Count"),
        "Errors": (1.0 if outcome.function_error else 0.0, "Count"),
        "Throttles": (0.0, "Count"),
        "Duration": (outcome.duration_ms, "Milliseconds"),
        "ConcurrentExecutions": (float(concurrent), "Count"),
    }
    publisher.metrics(NAMESPACE, _data(subject, measured))
    for line in outcome.output:
        for namespace, datum in emf.metric_data(line):
            publisher.metrics(namespace, [datum])


def throttle(publisher: Publisher, subject: Subject) -> None:
    """A throttled call is not an invocation: Lambda counts it in this metric only."""
    publisher.metrics(NAMESPACE, _data(subject, {"Throttles": (1.0, "Count")}))


def tail(subject: Subject, request_id: str, outcome: Outcome) -> str:
    """The end of an invocation's log: at most 4 KB (Lambda API reference, Invoke, LogType)."""
    text = "\n".join(lines(subject, request_id, outcome)) + "\n"
    return text.encode()[-TAIL_BYTES:].decode("utf-8", "ignore")


def lines(subject: Subject, request_id: str, outcome: Outcome) -> Iterator[str]:
    yield f"START RequestId: {request_id} Version: {subject.version}"
    yield from outcome.output
    if outcome.status == "timeout":
        seconds = outcome.duration_ms / 1000
        yield f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z} {request_id} Task timed out after {seconds:.2f} seconds"
    yield f"END RequestId: {request_id}"
    billed = math.ceil(outcome.duration_ms + (outcome.init_ms or 0.0))
    report = (
        f"REPORT RequestId: {request_id}\tDuration: {outcome.duration_ms:.2f} ms\tBilled Duration: {billed} ms\t"
        f"Memory Size: {subject.memory_mib} MB\tMax Memory Used: {outcome.memory_mib} MB"
    )
    if outcome.init_ms is not None:
        report += f"\tInit Duration: {outcome.init_ms:.2f} ms"
    yield f"{report}\tStatus: {outcome.status}" if outcome.status else report


def _data(subject: Subject, measured: dict[str, tuple[float, str]]) -> list[dict[str, Any]]:
    """Each metric under the function's name, the name with what was called, and for an alias also what ran.

    Source: AWS Lambda developer guide, 'Viewing metrics for Lambda functions': ExecutedVersion exists for invocations
    by alias only. An invocation by version number has the number in Resource.
    """
    function = {"Name": "FunctionName", "Value": subject.function}
    resource = {"Name": "Resource", "Value": subject.resource}
    qualifier = subject.resource.partition(":")[2]
    sets = [[function], [function, resource]]
    if qualifier and not qualifier.isdigit():
        sets.append([function, resource, {"Name": "ExecutedVersion", "Value": subject.version}])
    now = datetime.now(UTC)
    return [
        {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit, "Timestamp": now}
        for name, (value, unit) in measured.items()
        for dimensions in sets
    ]
