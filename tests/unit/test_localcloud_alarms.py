"""How an alarm is judged: M of N, missing data, metric math."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localcloud.alarms import MetricStat, check, evaluate

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE = [
    {"Id": "rate", "Expression": "IF(whole > 0, part / whole, 0)", "ReturnData": True},
    *(
        {
            "Id": name,
            "ReturnData": "false",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "FunctionName", "Value": "loupe"}],
                },
                "Period": 60,
                "Stat": "Sum",
            },
        }
        for name, metric in (("part", "Errors"), ("whole", "Invocations"))
    ),
]


def alarm(**changes: Any) -> dict[str, Any]:
    return {
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Dimensions": [{"Name": "FunctionName", "Value": "loupe"}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 3,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "missing",
        "StateValue": "OK",
        **changes,
    }


def state(values: Sequence[float | None], **changes: Any) -> str:
    return evaluate(alarm(**changes), lambda metric, periods: values)[0]


@pytest.mark.parametrize(
    ("values", "needed", "expected"),
    [([5, 5, 5], None, "ALARM"), ([5, 4, 5], None, "OK"), ([5, 4, 5], 2, "ALARM"), ([4, 4, 5], 2, "OK")],
)
def test_m_of_n_breaching_points_make_an_alarm(values: list[float], needed: int | None, expected: str) -> None:
    assert state(values, DatapointsToAlarm=needed) == expected


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [("missing", "INSUFFICIENT_DATA"), ("ignore", "OK"), ("breaching", "ALARM"), ("notBreaching", "OK")],
)
def test_missing_data_is_treated_as_the_alarm_specifies(treatment: str, expected: str) -> None:
    assert state([None, None, None], TreatMissingData=treatment) == expected


def test_the_metric_is_read_with_its_dimensions_and_statistic() -> None:
    queries = []

    def read(metric: MetricStat, periods: int) -> list[float]:
        queries.append((metric, periods))
        return [0, 0, 0]

    evaluate(alarm(ExtendedStatistic="p99"), read)
    assert queries == [(MetricStat("AWS/Lambda", "Errors", (("FunctionName", "loupe"),), 60, "p99"), 3)]


@pytest.mark.parametrize(
    ("errors", "invocations", "expected"),
    [(1, 100, "OK"), (10, 100, "ALARM"), (None, 100, "OK"), (0, 0, "OK"), (None, None, "OK")],
)
def test_a_rate_by_metric_math(errors: float | None, invocations: float | None, expected: str) -> None:
    values = {"Errors": [errors], "Invocations": [invocations]}
    changes = {"Metrics": RATE, "EvaluationPeriods": 1, "Threshold": 0.05, "TreatMissingData": "notBreaching"}
    assert evaluate(alarm(**changes), lambda metric, periods: values[metric.name])[0] == expected


@pytest.mark.parametrize("expression", ["FILL(part, 0) + 1", "SUM([part, whole]) * 2 - 1", "part / whole >= 0.5"])
def test_metric_math_that_is_evaluated(expression: str) -> None:
    check([{"Id": "e", "Expression": expression}, *RATE[1:]])


@pytest.mark.parametrize("expression", ["ANOMALY_DETECTION_BAND(part)", "part ** 2", "unknown + 1", "RATE(part)"])
def test_metric_math_that_is_not_evaluated_is_rejected(expression: str) -> None:
    with pytest.raises(ValueError, match="local cloud"):
        check([{"Id": "e", "Expression": expression}, *RATE[1:]])
