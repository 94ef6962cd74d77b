"""CloudWatch data: the function's log lines and metrics, Lambda's metrics, and an alarm that goes off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from deployment import Deployed, Response, until
from expect import assert_failed_integration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.models import Golden

LOG_GROUP = "/aws/lambda/loupe-local"


def test_a_request_is_logged(deployed: Deployed, golden_cases: list[Golden]) -> None:
    response = deployed.classify(golden_cases[0].path.read_bytes())
    request_id = response.json["request_id"]

    def messages() -> list[str]:
        events = deployed.client("logs").filter_log_events(logGroupName=LOG_GROUP, filterPattern=f'"{request_id}"')
        return [event["message"] for event in events["events"]]

    until(lambda: len(messages()) >= 4, 15)
    starts = [message.split(" ")[0] for message in messages()]
    assert {"START", "END", "REPORT"} <= set(starts)
    (line,) = (json.loads(message) for message in messages() if message.startswith("{") and "trigger" in message)
    assert line["label"] == golden_cases[0].label


def test_metrics_are_published_with_the_dimensions_of_aws(deployed: Deployed, golden_cases: list[Golden]) -> None:
    deployed.classify(golden_cases[0].path.read_bytes())

    def published(namespace: str) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        pages = deployed.client("cloudwatch").get_paginator("list_metrics").paginate(Namespace=namespace)
        return {
            (
                metric["MetricName"],
                tuple(sorted((dimension["Name"], dimension["Value"]) for dimension in metric["Dimensions"])),
            )
            for page in pages
            for metric in page["Metrics"]
        }

    function = ("FunctionName", "loupe-local")
    alias = ("Resource", "loupe-local:live")
    own = (("Environment", "local"), ("Model", "hair-type"))
    until(lambda: ("Requests", own) in published("Loupe"), 15)
    for name in ("Invocations", "Errors", "Duration", "ConcurrentExecutions"):
        assert (name, (function,)) in published("AWS/Lambda")
        assert (name, (function, alias)) in published("AWS/Lambda")


@pytest.fixture
def bad_release(deployed: Deployed) -> Iterator[None]:
    """The alias on a version that cannot start, as a bad release would leave it; afterwards on the good one again."""
    with deployed.released(LOUPE_MODEL="no-such-model"):
        yield


@pytest.fixture
def mailbox(deployed: Deployed) -> Any:
    """Gives the alarm messages that have come from the topic so far."""
    queues = deployed.client("sqs")
    queue = queues.create_queue(QueueName="alarms")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = deployed.outputs["AlarmTopicArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    deployed.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    received: list[dict[str, Any]] = []

    def read() -> list[dict[str, Any]]:
        for message in queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            received.append(json.loads(json.loads(message["Body"])["Message"]))
            queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return received

    return read


def test_a_failing_function_raises_the_deployed_alarm(
    deployed: Deployed, golden_cases: list[Golden], mailbox: Any, request: pytest.FixtureRequest
) -> None:
    alarm = "loupe-local-FunctionErrorRate"
    body = golden_cases[0].path.read_bytes()
    failures: list[Response] = []

    def state() -> str:
        (state,) = deployed.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
        return str(state["StateValue"])

    def rings() -> bool:
        failures.append(deployed.classify(body))
        return state() == "ALARM"

    until(lambda: state() == "OK", 30)
    request.getfixturevalue("bad_release")
    until(rings, 40)
    assert_failed_integration(failures[-1])
    assert "no-such-model" not in failures[-1].body.decode()
    until(lambda: (alarm, "ALARM") in [(m["AlarmName"], m["NewStateValue"]) for m in mailbox()], 15)


def test_the_function_serves_again_after_the_rollback(deployed: Deployed, golden_cases: list[Golden]) -> None:
    assert deployed.classify(golden_cases[0].path.read_bytes()).json["label"] == golden_cases[0].label
