"""Data that the fleet publishes to CloudWatch: log lines, Lambda's metrics, and metrics in the function's own lines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from localcloud import emf, report
from localcloud.environment import Outcome
from localcloud.report import Subject

SUBJECT = Subject("loupe-local", "7", "loupe-local:live", 1769, "/aws/lambda/loupe-local")
EMF_LINE = json.dumps(
    {
        "_aws": {
            "Timestamp": 1795420598000,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Loupe",
                    "Dimensions": [["Environment", "Model"]],
                    "Metrics": [
                        {"Name": "Requests", "Unit": "Count"},
                        {"Name": "ModelLatency", "Unit": "Milliseconds"},
                    ],
                }
            ],
        },
        "Environment": "local",
        "Model": "hair-type",
        "Requests": [1.0],
        "ModelLatency": 2.5,
    }
)


class Recorder:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.data: list[tuple[str, dict[str, Any]]] = []

    def log(self, group: str, stream: str, lines: Any) -> None:
        self.lines += lines

    def metrics(self, namespace: str, data: Any) -> None:
        self.data += [(namespace, datum) for datum in data]

    def value(self, name: str, *dimensions: str) -> float:
        (match,) = (
            datum
            for _, datum in self.data
            if datum["MetricName"] == name
            and [dimension["Value"] for dimension in datum["Dimensions"]] == list(dimensions)
        )
        return float(match.get("Value", sum(match.get("Values", []))))


def outcome(**changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "payload": b"{}",
        "function_error": None,
        "status": "",
        "duration_ms": 12.345,
        "init_ms": None,
        "memory_mib": 99,
        "output": ["hello", EMF_LINE],
    }
    return Outcome(**{**values, **changes})


def publish(result: Outcome) -> Recorder:
    recorder = Recorder()
    report.invocation(recorder, SUBJECT, "stream", "id-1", result, 3)
    return recorder


def test_a_warm_invocation_is_reported_as_lambda_does() -> None:
    published = publish(outcome())
    assert published.lines == [
        "START RequestId: id-1 Version: 7",
        "hello",
        EMF_LINE,
        "END RequestId: id-1",
        (
            "REPORT RequestId: id-1\tDuration: 12.35 ms\tBilled Duration: 13 ms\t"
            "Memory Size: 1769 MB\tMax Memory Used: 99 MB"
        ),
    ]


def test_a_cold_start_reports_and_bills_its_init() -> None:
    assert publish(outcome(init_ms=200.5)).lines[-1].split("\t")[1:] == [
        "Duration: 12.35 ms",
        "Billed Duration: 213 ms",
        "Memory Size: 1769 MB",
        "Max Memory Used: 99 MB",
        "Init Duration: 200.50 ms",
    ]


def test_a_timeout_has_its_line() -> None:
    published = publish(outcome(status="timeout", function_error="Unhandled", duration_ms=15000.0))
    assert published.lines[-3].endswith("id-1 Task timed out after 15.00 seconds")
    assert published.lines[-1].endswith("Status: timeout")


def test_each_metric_is_under_the_function_and_under_its_alias() -> None:
    published = publish(outcome(function_error="Unhandled", status="error\tError Type: ValueError"))
    for dimensions in (("loupe-local",), ("loupe-local", "loupe-local:live")):
        assert published.value("Invocations", *dimensions) == 1
        assert published.value("Errors", *dimensions) == 1
        assert published.value("Duration", *dimensions) == 12.345
        assert published.value("ConcurrentExecutions", *dimensions) == 3


def test_invocations_by_alias_have_the_version_that_ran() -> None:
    """By number there is none: the number is in Resource."""
    for resource, expected in (("f:live", True), ("f:7", False), ("f", False)):
        recorder = Recorder()
        subject = replace(SUBJECT, resource=resource, version="7")
        report.invocation(recorder, subject, "stream", "id-1", outcome(), 3)
        names = [{item["Name"]: item["Value"] for item in datum["Dimensions"]} for _, datum in recorder.data]
        assert ({"FunctionName": SUBJECT.function, "Resource": resource, "ExecutedVersion": "7"} in names) is expected


def test_the_tail_of_a_log_is_its_last_4_kb() -> None:
    tail = report.tail(SUBJECT, "id-1", outcome(output=["x" * 10_000]))
    assert len(tail.encode()) == 4096
    assert tail.splitlines()[-1].startswith("REPORT RequestId: id-1")


def test_a_throttle_is_no_invocation() -> None:
    recorder = Recorder()
    report.throttle(recorder, SUBJECT)
    assert recorder.value("Throttles", "loupe-local") == 1
    assert {datum["MetricName"] for _, datum in recorder.data} == {"Throttles"}


def test_metrics_in_the_functions_lines_are_published() -> None:
    published = publish(outcome())
    assert published.value("Requests", "local", "hair-type") == 1
    assert published.value("ModelLatency", "local", "hair-type") == 2.5


def test_other_lines_carry_no_metric() -> None:
    for line in ("hello", '{"_aws": 1}', '{"_aws": {"Timestamp": "x", "CloudWatchMetrics": []}}', '"_aws"'):
        assert list(emf.metric_data(line)) == []
