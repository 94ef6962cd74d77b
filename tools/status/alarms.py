"""Alarms of the deployment that are in alarm, with severity and runbook entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.operations.stack import Stack
from tools.operations.target import Target
from tools.status.items import Item, State

# DescribeAlarms takes this many names.
_NAMES_AT_ONCE = 100
_SEVERITIES = ("page", "ticket")


def alarms(target: Target, stack: Stack) -> Iterator[Item]:
    """Report each alarm in alarm, pages first; silenced alarms; and alarms that were deleted.

    By the names of the stack's resources: a prefix ``loupe-prod-`` would also match those of environment ``prod-eu``.
    """
    names = [*stack.physical("AWS::CloudWatch::Alarm"), *stack.physical("AWS::CloudWatch::CompositeAlarm")]
    described: list[dict[str, Any]] = []
    for start in range(0, len(names), _NAMES_AT_ONCE):
        response = target.aws.call(
            "cloudwatch",
            "describe_alarms",
            AlarmNames=names[start : start + _NAMES_AT_ONCE],
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            MaxRecords=_NAMES_AT_ONCE,
        )
        described += [*response.get("MetricAlarms", []), *response.get("CompositeAlarms", [])]
    in_alarm = sorted(
        (_item(target, alarm) for alarm in described if alarm.get("StateValue") == "ALARM"),
        key=lambda item: (item.values["severity"] != "page", item.values["name"]),
    )
    yield from in_alarm
    silenced = sorted(str(alarm["AlarmName"]) for alarm in described if alarm.get("ActionsEnabled") is False)
    if silenced:
        action = f"aws cloudwatch enable-alarm-actions --alarm-names {' '.join(silenced)}"
        yield Item("alarms", State.note, f"silenced: {', '.join(silenced)}", action, {"silenced": silenced})
    missing = sorted(set(names) - {str(alarm["AlarmName"]) for alarm in described})
    if missing:
        text = f"deleted outside the stack: {', '.join(missing)}"
        yield Item("alarms", State.wrong, text, f"make diff ENV={target.environment}", {"missing": missing})
    if not in_alarm:
        text = f"none of {len(described)} is in alarm" if names else "there are none (alarms.enabled is off)"
        yield Item("alarms", State.ok if names else State.note, text, values={"total": len(described), "in_alarm": 0})


def _item(target: Target, alarm: dict[str, Any]) -> Item:
    name = str(alarm["AlarmName"]).removeprefix(f"loupe-{target.environment}-")
    severity, _, text = str(alarm.get("AlarmDescription") or "").partition(": ")
    text, _, link = text.rpartition(" Runbook: ")
    severity = severity if severity in _SEVERITIES else "ticket"
    values = {
        "name": name,
        "severity": severity,
        "reason": str(alarm.get("StateReason") or ""),
        "since": alarm["StateUpdatedTimestamp"].isoformat() if alarm.get("StateUpdatedTimestamp") else None,
        "runbook": link,
    }
    return Item("alarms", State.wrong, f"{severity.upper()} {name}: {text or values['reason']}", link, values)
