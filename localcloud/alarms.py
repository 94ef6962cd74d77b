"""How CloudWatch judges an alarm: M of N data points, missing data, metric math.

Sources: Amazon CloudWatch user guide, 'Evaluating an alarm', 'Configuring how CloudWatch alarms treat missing data' and
'Using math expressions with CloudWatch metrics'. Of the latter there is here: numbers, ids, ``+ - * /``, comparisons,
``IF``, ``FILL`` with a number, ``MIN``, ``MAX`` and ``SUM`` of several.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Series = Sequence[float | None]

_ARITHMETIC: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_AGGREGATES: dict[str, Callable[[Sequence[float]], float]] = {"MIN": min, "MAX": max, "SUM": sum}


@dataclass(frozen=True)
class MetricStat:
    """One metric and how its points of a period, in seconds, become one number."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    period: int
    statistic: str


Reader = Callable[[MetricStat, int], Series]


def evaluate(alarm: Mapping[str, Any], read: Reader) -> tuple[str, str]:
    """State of an alarm and the reason for it.

    Parameters
    ----------
    alarm
        As DescribeAlarms returns it, with ``Metrics`` if it uses metric math.
    read
        Returns the values of a metric's last n periods, oldest first, None for periods without data.
    """
    count = int(alarm.get("EvaluationPeriods", 1))
    needed = int(alarm.get("DatapointsToAlarm") or count)
    values = _values(alarm, read, count)
    breaches = _COMPARISONS[alarm["ComparisonOperator"]]
    threshold, missing = float(alarm["Threshold"]), alarm.get("TreatMissingData") or "missing"
    datapoints = [value for value in values if value is not None]
    if not datapoints and missing in {"missing", "ignore"}:
        state = str(alarm["StateValue"]) if missing == "ignore" else "INSUFFICIENT_DATA"
        return state, f"Insufficient Data: {count} datapoints were unknown."
    breaching = sum(breaches(value, threshold) for value in datapoints)
    if missing == "breaching":
        breaching += len(values) - len(datapoints)
    shown = ", ".join("-" if value is None else f"{value:g}" for value in values)
    state = "ALARM" if breaching >= needed else "OK"
    word = "Crossed" if state == "ALARM" else "not crossed"
    comparison = alarm["ComparisonOperator"]
    return (
        state,
        f"Threshold {word}: {breaching} of [{shown}] are {comparison} ({threshold:g}), {needed} make an alarm.",
    )


def check(metrics: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValueError if an alarm's metric math is not supported by the local cloud."""
    evaluate(
        {
            "Metrics": metrics,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 0,
            "StateValue": "OK",
        },
        lambda _metric, _periods: [1.0],
    )


def compute(expression: str, values: Mapping[str, float | None]) -> float | None:
    """Return one data point of a metric math expression; None if a value that it needs is missing.

    Raises
    ------
    ValueError
        If the expression is more than is evaluated here.
    """
    return _compute(ast.parse(expression, mode="eval").body, values)


def _values(alarm: Mapping[str, Any], read: Reader, count: int) -> Series:
    metrics = alarm.get("Metrics")
    if not metrics:
        return read(_stat(alarm, alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average", alarm), count)
    series: dict[str, Series] = {
        entry["Id"]: read(_stat(entry["MetricStat"]["Metric"], entry["MetricStat"]["Stat"], entry["MetricStat"]), count)
        for entry in metrics
        if entry.get("MetricStat")
    }
    expressions = {entry["Id"]: entry["Expression"] for entry in metrics if entry.get("Expression")}
    # A template may contain a boolean as text.
    (response,) = (entry["Id"] for entry in metrics if str(entry.get("ReturnData", True)).lower() == "true")
    if response in series:
        return series[response]
    tree = ast.parse(expressions[response], mode="eval").body
    return [_compute(tree, {name: values[i] for name, values in series.items()}) for i in range(count)]


def _stat(metric: Mapping[str, Any], statistic: str, period: Mapping[str, Any]) -> MetricStat:
    dimensions = tuple((entry["Name"], entry["Value"]) for entry in metric.get("Dimensions") or [])
    return MetricStat(metric["Namespace"], metric["MetricName"], dimensions, int(period["Period"]), statistic)


def _compute(node: ast.AST, values: Mapping[str, float | None]) -> float | None:
    """One data point of an expression; None if a value that it needs is missing."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.BinOp(left=left, op=sign, right=right) | ast.Compare(left=left, ops=[sign], comparators=[right]):
            return _combine(sign, _compute(left, values), _compute(right, values))
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            truth = _compute(condition, values)
            return None if truth is None else _compute(then if truth else otherwise, values)
        case ast.Call(func=ast.Name(id="FILL"), args=[value, filling]):
            filled = _compute(value, values)
            return _compute(filling, values) if filled is None else filled
        case ast.Call(func=ast.Name(id=name), args=[ast.List(elts=items)]) if name in _AGGREGATES:
            present = [amount for item in items if (amount := _compute(item, values)) is not None]
            return _AGGREGATES[name](present) if present else None
    raise ValueError(f"The local cloud does not evaluate {ast.unparse(node)!r} of a metric math expression.")


def _combine(sign: ast.AST, left: float | None, right: float | None) -> float | None:
    operation = _ARITHMETIC.get(type(sign))
    if operation is None:
        raise ValueError("The local cloud evaluates + - * / and comparisons in metric math, no other operator.")
    if left is None or right is None or (operation is operator.truediv and right == 0):
        return None
    return float(operation(left, right))
