"""Test the path from log to metric, alarm, topic and queue with broken images, until the alarm's message arrives."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tools.acceptance.target import AcceptanceError
from tools.smoke.credentials import ApiKey
from tools.smoke.endpoint import CheckError, Endpoint

if TYPE_CHECKING:
    from tools.acceptance.suite import Context

# Metrics take about two minutes to CloudWatch alarms, and a period to fill.
_SECONDS = 420.0
_BROKEN = b"\xff\xd8\xff\xe0 a JPEG that ends here"
ALARM = "UndecodableImageRate"


def check(context: Context) -> str:
    """Subscribe a queue to the alarm topic, send broken images, and wait for the message."""
    alarm = f"loupe-{context.target.environment}-{ALARM}"
    queues, topics = context.target.client("sqs"), context.target.client("sns")
    topic = context.endpoint.outputs["AlarmTopicArn"]
    name = f"loupe-acceptance-{uuid.uuid4().hex[:8]}"
    arn = _queue_arn(topic, name)
    # With its policy from the beginning: changes of a queue take a minute, and SNS sends a rejected message only once.
    queue = queues.create_queue(QueueName=name, Attributes={"Policy": _policy(arn, topic)})["QueueUrl"]
    subscription = None
    try:
        subscription = topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
        _reset(context.target.client("cloudwatch"), alarm)
        seconds = _wait(context, queues, queue, alarm)
    finally:
        if subscription is not None:
            topics.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
        queues.delete_queue(QueueUrl=queue)
    return f"{alarm} rang, and its message arrived {seconds:.0f} s after the first broken image"


def _wait(context: Context, queues: Any, queue: str, alarm: str) -> float:
    gateway = context.target.client("apigateway")
    key = gateway.get_api_key(apiKey=context.endpoint.outputs["ApiKeyId"], includeValue=True)["value"]
    endpoint = Endpoint(context.endpoint.url, ApiKey(key))
    begin = time.monotonic()
    try:
        while time.monotonic() < begin + _SECONDS:
            try:
                reply = endpoint.post("v1/classify", _BROKEN, "image/jpeg")
            except CheckError as error:
                raise AcceptanceError(str(error)) from error
            if reply.json["code"] != "image_undecodable":
                raise AcceptanceError(f"a broken image gives {reply.excerpt}")
            for message in _receive(queues, queue):
                notice = json.loads(json.loads(message["Body"])["Message"])
                if (notice["AlarmName"], notice["NewStateValue"]) == (alarm, "ALARM"):
                    return time.monotonic() - begin
    finally:
        endpoint.close()
    state = context.target.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    now = state[0]["StateValue"] if state else "missing"
    raise AcceptanceError(f"no message of {alarm} within {_SECONDS:.0f} s; the alarm is {now}")


def _receive(queues: Any, queue: str) -> list[Any]:
    try:
        messages: list[Any] = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
    except ClientError as error:
        # "You must wait at least one second after the queue is created" (SQS API reference, CreateQueue).
        if not error.response["Error"]["Code"].endswith(("NonExistentQueue", "QueueDoesNotExist")):
            raise
        return []
    return messages


def _queue_arn(topic: str, name: str) -> str:
    """Name a queue beside a topic: same partition, region and account."""
    _, partition, _, region, account, _ = topic.split(":", 5)
    return f"arn:{partition}:sqs:{region}:{account}:{name}"


def _reset(alarms: Any, alarm: str) -> None:
    """Reset an alarm that the smoke test's broken image has already raised: only a state change sends a message."""
    state = alarms.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    if state and state[0]["StateValue"] == "ALARM":
        alarms.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="The acceptance suite begins.")


def _policy(queue: str, topic: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
