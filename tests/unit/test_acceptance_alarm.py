"""The alarm step of the acceptance suite: a separate queue, and an alarm that can go off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tools.acceptance import alarm


class FakeAlarm:
    """One alarm of CloudWatch."""

    def __init__(self, state: str) -> None:
        self.state = state

    def describe_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:  # noqa: N803
        return {"MetricAlarms": [{"StateValue": self.state}]}

    def set_alarm_state(self, AlarmName: str, StateValue: str, StateReason: str) -> None:  # noqa: N803
        self.state = StateValue


def test_the_alarms_queue_is_beside_its_topic() -> None:
    topic = "arn:aws-us-gov:sns:us-gov-west-1:111122223333:Loupe-acc-1-T"
    assert alarm._queue_arn(topic, "q") == "arn:aws-us-gov:sqs:us-gov-west-1:111122223333:q"


@pytest.mark.parametrize(
    ("code", "raises"),
    [("AWS.SimpleQueueService.NonExistentQueue", False), ("QueueDoesNotExist", False), ("AccessDenied", True)],
)
def test_a_queue_that_is_not_there_yet_is_empty(code: str, raises: bool) -> None:
    def receive_message(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code}}, "ReceiveMessage")

    queues = SimpleNamespace(receive_message=receive_message)
    if raises:
        with pytest.raises(ClientError):
            alarm._receive(queues, "q")
    else:
        assert alarm._receive(queues, "q") == []


@pytest.mark.parametrize(("before", "after"), [("ALARM", "OK"), ("OK", "OK"), ("INSUFFICIENT_DATA",) * 2])
def test_an_alarm_that_rings_already_can_ring_again(before: str, after: str) -> None:
    fake = FakeAlarm(before)
    alarm._reset(fake, "loupe-acc-1-UndecodableImageRate")
    assert fake.state == after
