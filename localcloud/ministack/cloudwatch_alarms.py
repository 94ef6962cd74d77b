"""CloudWatch alarms inside MiniStack, evaluated as CloudWatch does.

MiniStack rejects alarms on metric math, aggregates a metric's data points over all dimensions, and evaluates an alarm
only when a data point arrives, so that missing data never returns it to OK. The replacements evaluate every alarm on a
timer instead.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from localcloud.alarms import MetricStat, check, evaluate
from localcloud.ministack.compatibility import CLOUDWATCH, PROVISIONERS
from localcloud.ministack.replacement import Replacement, original

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INTERVAL_SECONDS = 1.0

log = logging.getLogger(__name__)


def start_evaluating() -> None:
    """Evaluate every alarm once per `INTERVAL_SECONDS`, in a daemon thread."""
    threading.Thread(target=_run, name="alarms", daemon=True).start()


def _accepting_metric_math(make_record: Callable[[str, Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    def make(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        metrics = properties.get("Metrics")
        if not metrics:
            return make_record(name, properties)
        check(metrics)
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        record = make_record(name, {**plain, "MetricName": "-", "Namespace": "-"})
        for key in ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions", "Unit"):
            record.pop(key, None)
        return {**record, "Metrics": metrics}

    return make


def _run() -> None:
    alarms = original(CLOUDWATCH, "_alarms")
    while True:
        time.sleep(INTERVAL_SECONDS)
        for alarm in list(alarms.values()):
            try:
                _update_state(alarm)
            except (ArithmeticError, LookupError, TypeError, ValueError):
                log.exception("the alarm %s was not evaluated", alarm.get("AlarmName"))


def _update_state(alarm: dict[str, Any]) -> None:
    state, reason = evaluate(alarm, _read)
    before = alarm["StateValue"]
    if state == before:
        return
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    original(CLOUDWATCH, "_record_history")(alarm["AlarmName"], before, state, reason)
    original(CLOUDWATCH, "_dispatch_alarm_actions")(alarm, before, state, reason)
    original(CLOUDWATCH, "_evaluate_parent_alarms")(alarm)


def _read(metric: MetricStat, periods: int) -> Sequence[float | None]:
    """The statistic of the last `periods` periods up to now, oldest first; None for a period without data."""
    dimensions = original(CLOUDWATCH, "_dims_key")(dict(metric.dimensions))
    points = original(CLOUDWATCH, "_metrics").get((metric.namespace, metric.name, dimensions)) or []
    calculate, choose = original(CLOUDWATCH, "_calc_stats"), original(CLOUDWATCH, "_stat_value")
    now = time.time()
    values: list[float | None] = []
    for age in range(periods, 0, -1):
        begin, end = now - age * metric.period, now - (age - 1) * metric.period
        inside = [point for point in list(points) if begin < point["Timestamp"] <= end]
        values.append(choose(calculate(inside), metric.statistic, inside) if inside else None)
    return values


def replacements() -> tuple[Replacement, ...]:
    """Replacements in MiniStack's CloudWatch and in its CloudFormation handler of alarms."""
    return (
        Replacement(PROVISIONERS, "_cw_metric_alarm_record", _accepting_metric_math),
        Replacement(CLOUDWATCH, "_evaluate_alarm", lambda _: lambda *_: None),
    )
